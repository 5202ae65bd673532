"""Levels of a neck from formulas, whose every height is known: right, one off, withheld, missed."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the torch extra is not installed")

from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.imaging.neck_phantom import NeckShape, neck_truth, sagittal_grid
from dicom_ai.training.spine_necks import level_scores
from dicom_ai.training.spine_tables import neck_table, structure_table

SHAPE = NeckShape()
TRUTH, GRID = neck_truth(SHAPE), sagittal_grid(SHAPE)
WHOLE = ("C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2")
"""Of the levels in this grid, whose lower border cuts T3."""


def vertebrae(named):
    """One vertebra in the middle of each level of `named`, called as it says, 20 mm before the cord."""
    found = []
    for level, name in named.items():
        at = float(np.mean(TRUTH.level_bounds_mm[level]))
        place = np.array([np.interp(at, TRUTH.arc_mm, TRUTH.centreline_mm[:, axis]) for axis in range(3)])
        place = place - [0.0, 20.0, 0.0]
        found.append(VertebraLabel(name, name or "V", len(found) + 1, "", False, place, place, place))
    return found


def test_a_neck_called_as_it_is_is_right_throughout():
    scores = level_scores(vertebrae({level: level for level in WHOLE}), TRUTH, GRID)

    assert scores == {"structures": 8, "right": 8, "wrong": 0, "withheld": 0, "missed": 0}


def test_a_count_that_skips_c3_is_wrong_behind_it():
    called = dict(zip(("C2", *WHOLE[2:]), WHOLE[:-1], strict=True))

    scores = level_scores(vertebrae(called), TRUTH, GRID)

    assert (scores["right"], scores["wrong"], scores["missed"]) == (1, 6, 1)


def test_what_has_no_name_is_withheld_and_what_lies_nowhere_is_missed():
    scores = level_scores(vertebrae(dict.fromkeys(WHOLE[:5])), TRUTH, GRID)

    assert scores == {"structures": 8, "right": 0, "wrong": 0, "withheld": 8, "missed": 3}


def test_a_splinter_with_a_level_beside_the_right_vertebra_is_wrong():
    named = vertebrae({level: level for level in WHOLE})

    assert level_scores([*named, replace(named[-1], level="T3")], TRUTH, GRID)["wrong"] == 1


def test_necks_have_a_table_of_their_own():
    row = {"image": "neck 1", "source": "formula", "crop": "", "seen": False}
    row |= {"structures": 8, "right": 6, "wrong": 1, "withheld": 1, "missed": 1}

    assert neck_table([row])[-1] == "| neck 1 | 8 | 6 | 1 | 1 | 1 |"
    assert len(structure_table([row])) == 2  # its head alone
