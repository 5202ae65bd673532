"""The classes of the compact spine model, and codes for places where the truth is only partly known.

A code stands for the set of classes that a voxel may have. Data sources draw vertebrae only, or discs only, or stop
at L1: there "not drawn" is not "background", and the losses of sshsnet.py are given the set instead of one class.
"""

import numpy as np

BACKGROUND, VERTEBRA, DISC, C2, SACRUM, CANAL = range(6)
CLASSES = ("background", "vertebra", "disc", "C2", "sacrum", "canal")
"""Names of the classes, in the order of the logits. C2 holds the dens; sacrum is its first vertebra."""

REST, BELOW, ABOVE, UNKNOWN = 6, 7, 8, 9
ALLOWED: tuple[frozenset[int], ...] = (
    *(frozenset({value}) for value in range(len(CLASSES))),
    frozenset({BACKGROUND, CANAL}),
    frozenset({BACKGROUND, DISC, SACRUM, CANAL}),
    frozenset({BACKGROUND, VERTEBRA, DISC, CANAL}),
    frozenset(range(len(CLASSES))),
)
"""Code -> classes it allows. REST: vertebrae and discs are drawn, the canal is not. BELOW, ABOVE: beyond the lowest or
the highest drawn vertebra. UNKNOWN: anything."""


def allowed_table() -> np.ndarray:
    """Return which class each code allows: bool, shape (codes, classes)."""
    return np.array([[value in allowed for value in range(len(CLASSES))] for allowed in ALLOWED])
