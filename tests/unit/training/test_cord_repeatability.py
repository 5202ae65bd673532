"""How far two scans of an unchanged cord lie apart: the figure, where it is stated, and what a scan again is."""

import json

import numpy as np
import pytest

from dicom_ai.domain.model import ModelRepeatability
from dicom_ai.imaging.neck_phantom import NeckShape, sagittal_grid
from dicom_ai.inference.manifest import read_manifest
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.training.cord_repeatability import FILE, MOST_SHIFT_MM, coefficient, moved, state


def row(neck: str, level: str, csa_mm2: float) -> dict:
    return {"neck": neck, "level": level, "csa_mm2": csa_mm2}


def test_the_coefficient_is_that_of_bland_and_altman():
    rows = [row("a", "C3", 70.0), row("a", "C3", 72.0), row("a", "C4", 80.0), row("a", "C4", 80.0)]

    # variances 2 and 0, pooled 1: 1.96 x square root of 2
    assert coefficient(rows) == ModelRepeatability(2.8, 2)


def test_a_level_of_one_scan_and_different_necks_do_not_count():
    rows = [row("a", "C3", 70.0), row("b", "C3", 90.0), row("a", "C5", 50.0)]

    assert coefficient(rows).pairs == 0


def test_a_scan_again_keeps_the_voxels_and_moves_them_a_little():
    grid = sagittal_grid(NeckShape())
    again = moved(grid, np.random.default_rng(0))

    middle = (np.array(grid.shape) - 1) / 2
    assert again.spacing_mm == pytest.approx(grid.spacing_mm)
    assert np.abs(again.to_mm(middle) - grid.to_mm(middle)).max() <= MOST_SHIFT_MM
    assert not np.allclose(again.directions, grid.directions)


def test_the_figure_stands_in_the_manifest_and_an_older_one_does_not(tmp_path):
    folder = tmp_path / "spinal-cord"
    folder.mkdir()
    (folder / "model.toml").write_bytes((default_models_folder() / "spinal-cord" / "model.toml").read_bytes())

    for csa_mm2 in (9.9, 2.5):
        state(folder, {"stated": {"group": "formula T2", "csa_mm2": csa_mm2, "pairs": 40}, "groups": {}})

    assert read_manifest(folder).repeatability == ModelRepeatability(2.5, 40)
    assert (folder / "model.toml").read_text().count("[repeatability]") == 1


def test_what_the_shipped_model_states_was_measured_on_its_own_weights():
    folder = default_models_folder() / "spinal-cord"
    stated = read_manifest(folder).repeatability
    measured = json.loads((folder / FILE).read_text())

    if stated is None:
        pytest.skip("the shipped weights have no repeatability yet: dicom-ai repeatability spinal-cord --state")
    assert measured["weights"] == ModelStore(folder.parent).load("spinal-cord").reference.digest
    assert ModelRepeatability(measured["stated"]["csa_mm2"], measured["stated"]["pairs"]) == stated
    of_group = [row for row in measured["rows"] if row["group"] == measured["stated"]["group"]]
    assert coefficient(of_group) == stated
