"""Drawn spines from their class maps to their levels: every level must be right or withheld.

A column is drawn from above with bodies, discs, canal, and where it is asked for C2 with its dens and the sacrum, as
the network would give it; what is uncommon about it must not lead to a wrong name.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from dicom_ai.anatomy.levels import STANDARD
from dicom_ai.anatomy.separation import ClassValues, separate
from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import Volume
from dicom_ai.inference.sshsnet import named

VALUES = ClassValues(vertebra=1, disc=2, c2=3, sacrum=4, canal=5)
SPACING_MM = (3.0, 1.0, 1.0)
SLICES, COLUMNS, TOP = 12, 120, 6
HEIGHTS_MM = {"C": 14, "T": 20, "L": 27, "S": 28}
DISC_MM, DENS_MM = 7, 20


@dataclass(frozen=True, slots=True)
class Drawn:
    """classes: the map. rows: middle row of each vertebra from above, the sacrum's not among them."""

    classes: np.ndarray
    rows: tuple[float, ...]


def between(first, last):
    return STANDARD[STANDARD.index(first) : STANDARD.index(last) + 1]


def draw(levels, *, fused=(), short=(), curve_mm=0.0, lean=0.0):
    """Draw a column. fused: levels without a disc below. short: with a third of their height.

    curve_mm: how far the middle of the column lies to the side. lean: columns forward per row.
    """
    heights = [
        round(HEIGHTS_MM[level[0]] / (3 if level in short else 1)) + (DENS_MM if level == "C2" else 0)
        for level in levels
    ]
    discs = [0 if level in fused or place == len(levels) - 1 else DISC_MM for place, level in enumerate(levels)]
    length = TOP + sum(heights) + sum(discs) + 4
    classes = np.zeros((SLICES, length, COLUMNS), np.uint8)
    start, rows = TOP, []
    for level, height, disc in zip(levels, heights, discs, strict=True):
        end = start + height
        value = {"C2": VALUES.c2, "S1": VALUES.sacrum}.get(level, VALUES.vertebra)
        classes[:, start:end, 30:58] = value
        classes[:, end : end + disc, 32:56] = VALUES.disc
        if level != "S1":
            rows.append((start + end - 1) / 2)
        start = end + disc
    classes[4:8, 2:-2, 62:74] = VALUES.canal
    return Drawn(_bent(classes, curve_mm, lean), tuple(rows))


def _bent(classes, curve_mm, lean):
    """Keep the middle eight slices' worth of column around a curve across the slices, shifted row by row."""
    bent = np.zeros((SLICES + 8, *classes.shape[1:]), np.uint8)
    for row in range(classes.shape[1]):
        aside = round(curve_mm / SPACING_MM[0] * np.sin(np.pi * row / classes.shape[1]))
        bent[2 + aside : 10 + aside, row] = np.roll(classes[2:10, row], -round(lean * row), axis=1)
    return bent


def read(drawn):
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]) * np.array(SPACING_MM)
    grid = Volume(np.zeros(drawn.classes.shape, np.float32), affine)
    parts = separate(drawn.classes, VALUES, SPACING_MM)
    return named(parts.labels, parts, grid, score=1.0), grid


def levels_at(drawn, rows) -> list[str | None]:
    """The level of the vertebra nearest to each row."""
    found, grid = read(drawn)
    assert isinstance(found, Segmentation) and found.vertebrae
    heights = grid.to_indices(np.array([vertebra.centroid_mm for vertebra in found.vertebrae]))[:, 1]
    return [found.vertebrae[int(np.abs(heights - row).argmin())].level for row in rows]


def right_or_withheld(levels, truth):
    return [(found, level) for found, level in zip(levels, truth, strict=True) if found not in (None, level)] == []


WHOLE = between("C2", "S1")
T13 = (*between("C2", "T12"), "T13", *between("L1", "S1"))
L6 = (*between("C2", "L5"), "L6", "S1")


def test_a_usual_spine_is_named_throughout():
    drawn = draw(WHOLE)

    assert levels_at(drawn, drawn.rows) == list(WHOLE[:-1])


@pytest.mark.parametrize("levels", [T13, L6], ids=["T13", "L6"])
def test_a_supernumerary_vertebra_leads_to_no_wrong_level(levels):
    drawn = draw(levels)

    found = levels_at(drawn, drawn.rows)

    assert right_or_withheld(found, levels[:-1])
    assert found[0] == "C2" and set(found[1:]) == {None}


def test_a_neck_whose_c2_is_missing_has_no_level():
    drawn = draw(between("C3", "T4"))

    assert set(levels_at(drawn, drawn.rows)) == {None}


def test_a_lumbar_spine_with_six_vertebrae_is_never_named_without_saying_what_was_not_excluded():
    found, _ = read(draw(("T12", *between("L1", "L5"), "L6", "S1")))

    assert all(vertebra.qualified for vertebra in found.vertebrae if vertebra.level)


def test_a_block_vertebra_leads_to_no_wrong_level():
    drawn = draw(between("C2", "T3"), fused=("C4",))

    found = levels_at(drawn, drawn.rows)

    assert right_or_withheld(found, between("C2", "T3"))
    assert found[:2] == ["C2", "C3"] and found[2:4] == [None, None]


def test_a_collapsed_vertebra_counts_as_one():
    drawn = draw(between("T11", "S1"), short=("L2",))

    assert levels_at(drawn, drawn.rows) == list(between("T11", "L5"))


@pytest.mark.parametrize("lean", [0.0, 0.1])
def test_a_scoliotic_curve_is_counted_like_a_straight_one(lean):
    drawn = draw(between("T9", "S1"), curve_mm=18.0, lean=lean)

    assert levels_at(drawn, drawn.rows) == list(between("T9", "L5"))


@pytest.mark.parametrize(("first", "last"), [("T11", "L5"), ("T11", "L3"), ("T2", "T10")])
def test_a_field_of_view_without_both_ends_has_no_level(first, last):
    drawn = draw(between(first, last))

    assert set(levels_at(drawn, drawn.rows)) == {None}


def test_a_field_of_view_that_cuts_the_uppermost_vertebra_still_counts_it():
    drawn = draw(between("T12", "S1"))
    cut = Drawn(drawn.classes[:, TOP + 8 :], tuple(row - TOP - 8 for row in drawn.rows))

    assert levels_at(cut, cut.rows[1:]) == list(between("L1", "L5"))
    assert right_or_withheld(levels_at(cut, cut.rows), between("T12", "L5"))
