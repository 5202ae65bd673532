"""The classes of the compact spine model, and codes for places where the truth is only partly known.

A code stands for the set of classes that a voxel may have. Data sources draw vertebrae only, or discs only, or stop
at L1: there "not drawn" is not "background", and the losses of sshsnet.py are given the set instead of one class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

BACKGROUND, VERTEBRA, DISC, C2, SACRUM, CANAL = range(6)
CLASSES = ("background", "vertebra", "disc", "C2", "sacrum", "canal")
"""Names of the classes, in the order of the logits. C2 holds the dens; sacrum is its first vertebra."""

REST, BELOW, ABOVE, UNKNOWN, RIM, NO_DISC = range(6, 12)
ALLOWED: tuple[frozenset[int], ...] = (
    *(frozenset({value}) for value in range(len(CLASSES))),
    frozenset({BACKGROUND, CANAL}),
    frozenset({BACKGROUND, DISC, SACRUM, CANAL}),
    frozenset({BACKGROUND, VERTEBRA, DISC, CANAL}),
    frozenset(range(len(CLASSES))),
    frozenset({BACKGROUND, DISC}),
    frozenset(range(len(CLASSES))) - {DISC},
)
"""Code -> classes it allows. REST: vertebrae and discs are drawn, the canal is not. BELOW, ABOVE: beyond the lowest or
the highest drawn vertebra. UNKNOWN: anything. RIM: of a disc that was derived from the vertebrae around it, not drawn.
NO_DISC: only discs are drawn, and here is none."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """Classes and the codes of partial truth. names: of the classes, in the order of the logits.

    allowed: code -> classes it allows. landmarks: first and last code of what patches are centred on.
    """

    names: tuple[str, ...]
    allowed: tuple[frozenset[int], ...] = field(repr=False)
    landmarks: tuple[int, int]


PAPER_CLASSES = (
    *("background", "S", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9"),
    *("L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12", "T10/T11", "T9/T10"),
)
"""The 20 classes of the paper (arXiv 2203.12151), a level each; the canal is none of them."""

PAPER_SACRUM, PAPER_VERTEBRA, PAPER_DISC = 1, 1, 11
"""The sacrum's class; what is added to 1, 2, ... for L5, L4, ..., and to 0, 1, ... for L5/S, L4/L5, ..."""
PAPER_REST, PAPER_BELOW, PAPER_ABOVE = 20, 21, 22

SCHEMES: Mapping[str, Scheme] = {
    "compact": Scheme(CLASSES, ALLOWED, (VERTEBRA, SACRUM)),
    "paper": Scheme(
        PAPER_CLASSES,
        (
            *(frozenset({value}) for value in range(len(PAPER_CLASSES))),
            frozenset({BACKGROUND}),
            frozenset({BACKGROUND, PAPER_SACRUM, PAPER_DISC}),
            frozenset({BACKGROUND, *range(7, 11), *range(16, 20)}),
        ),
        (1, 19),
    ),
}
"""Name -> classes. Sources that draw up to L1 or T11 leave open what lies above: T12 to T9 and the discs there."""


def allowed_table(scheme: str = "compact") -> np.ndarray:
    """Return which class each code allows: bool, shape (codes, classes)."""
    chosen = SCHEMES[scheme]
    return np.array([[value in allowed for value in range(len(chosen.names))] for allowed in chosen.allowed])
