from itertools import pairwise

import numpy as np
import pytest
from skimage.color import rgb2lab

from dicom_ai.anatomy.levels import STANDARD, disc_between
from dicom_ai.domain.findings import Structure, StructureKind
from dicom_ai.imaging.palette import color_of

# Machado, Oliveira and Fernandes 2009 (doi 10.1109/TVCG.2009.113), severity 1.0, on linear RGB
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
CORD = Structure(StructureKind.SPINAL_CORD, "Spinal cord")


def vertebra(level: str) -> Structure:
    return Structure(StructureKind.VERTEBRA, f"{level} vertebra", level)


def neighbours() -> list[tuple[Structure, Structure]]:
    """Return everything that lies beside something else along the spine."""
    pairs = [(vertebra(a), vertebra(b)) for a, b in pairwise(STANDARD)]
    for upper, lower in pairwise(STANDARD[1:]):
        disc = Structure(StructureKind.DISC, "disc", disc_between(upper, lower))
        pairs += [(vertebra(upper), disc), (disc, vertebra(lower))]
    return pairs + [(CORD, vertebra(level)) for level in STANDARD]


def seen(color: tuple[int, int, int], matrix: object) -> np.ndarray:
    share = np.array(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(np.array(matrix) @ linear, 0, 1)
    return np.where(mixed <= 0.0031308, mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("matrix", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["normal", "protanopia", "deuteranopia"])
def test_neighbours_are_told_apart_with_any_colour_vision(matrix):
    for first, second in neighbours():
        apart = np.linalg.norm(rgb2lab(seen(color_of(first), matrix)) - rgb2lab(seen(color_of(second), matrix)))
        assert apart > 15, (first.name, second.name, apart)


def test_a_level_always_has_the_same_colour():
    assert color_of(vertebra("C3"), number=1) == color_of(vertebra("C3"), number=9)


def test_unlabelled_vertebrae_take_turns():
    unlabelled = Structure(StructureKind.VERTEBRA, "V1")

    assert color_of(unlabelled, number=1) != color_of(unlabelled, number=2)
