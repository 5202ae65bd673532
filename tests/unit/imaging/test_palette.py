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
TRITANOPIA = [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
ACHROMATOPSIA = [[0.2126, 0.7152, 0.0722]] * 3
"""Luminance alone (ITU-R BT.709)."""
CORD = Structure(StructureKind.SPINAL_CORD, "Spinal cord")
CANAL = Structure(StructureKind.SPINAL_CANAL, "Spinal canal")
SACRUM = Structure(StructureKind.SACRUM, "First sacral vertebra")
LOWEST_DISC = Structure(StructureKind.DISC, "L5/S1 disc", "L5/S1")


def vertebra(level: str) -> Structure:
    return Structure(StructureKind.VERTEBRA, f"{level} vertebra", level)


def along_the_spine() -> list[tuple[Structure, Structure]]:
    """Return every two parts of the column that follow one another."""
    pairs = [(vertebra(a), vertebra(b)) for a, b in pairwise(STANDARD)]
    for upper, lower in pairwise(STANDARD[1:]):
        disc = Structure(StructureKind.DISC, "disc", disc_between(upper, lower))
        pairs += [(vertebra(upper), disc), (disc, vertebra(lower))]
    return [*pairs, (vertebra("L5"), SACRUM), (LOWEST_DISC, SACRUM)]


def behind_the_column() -> list[tuple[Structure, Structure]]:
    """Return cord and canal with each other and with what lies in front of them."""
    column = [*(vertebra(level) for level in STANDARD), SACRUM]
    return [(CANAL, CORD), *((part, one) for part in (CORD, CANAL) for one in column)]


def seen(color: tuple[int, int, int], matrix: object) -> np.ndarray:
    share = np.array(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(np.array(matrix) @ linear, 0, 1)
    return np.where(mixed <= 0.0031308, mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055)


def closest(pairs: list[tuple[Structure, Structure]], matrix: object) -> tuple[float, str, str]:
    """Return the smallest difference of two colours (CIE 1976) and what has them."""
    lab = [[rgb2lab(seen(color_of(one), matrix)) for one in pair] for pair in pairs]
    apart = [float(np.linalg.norm(first - second)) for first, second in lab]
    least = int(np.argmin(apart))
    return apart[least], pairs[least][0].name, pairs[least][1].name


COLOURED = {"normal": np.eye(3), "protanopia": PROTANOPIA, "deuteranopia": DEUTERANOPIA, "tritanopia": TRITANOPIA}


@pytest.mark.parametrize("vision", [*COLOURED, "achromatopsia"])
def test_neighbours_along_the_spine_are_told_apart_with_any_colour_vision(vision):
    assert closest(along_the_spine(), COLOURED.get(vision, ACHROMATOPSIA)) > (15,)


@pytest.mark.parametrize("vision", COLOURED)
def test_cord_and_canal_are_told_from_the_column_by_who_sees_colours(vision):
    """Who sees none tells them by their place: nothing else lies behind the column."""
    assert closest(behind_the_column(), COLOURED[vision]) > (15,)


def test_a_level_always_has_the_same_colour():
    assert color_of(vertebra("C3"), number=1) == color_of(vertebra("C3"), number=9)


def test_unlabelled_vertebrae_take_turns():
    unlabelled = Structure(StructureKind.VERTEBRA, "V1")

    assert color_of(unlabelled, number=1) != color_of(unlabelled, number=2)
