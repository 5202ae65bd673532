"""Bad and unusual input for the cord: measured, or refused with the reason in the report and in findings.json.

The model calls cord what is bright within its window; everything around it is the product's own.
"""

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np
import onnx
import pytest

from dicom_ai.analysis.batch import Batch
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.inference.registry import ModelStore
from tests import builders
from tests.unit.inference.models import threshold_graph
from tests.unit.inference.test_softseg import MANIFEST

RADIUS_MM = 5.0
AREA_MM2 = np.pi * RADIUS_MM**2


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> ModelStore:
    folder = tmp_path_factory.mktemp("models")
    (folder / "cord").mkdir()
    onnx.save(threshold_graph(2.0, steepness=8.0), folder / "cord" / "weights.onnx")
    digest = hashlib.sha256((folder / "cord" / "weights.onnx").read_bytes()).hexdigest()
    text = MANIFEST.format(sha256=digest, options="").replace(
        "[input]", 'measurements = ["spinal_cord_csa"]\n\n[input]'
    )
    # A key of the top table may not follow [[data]].
    head, tail = text.split("[[data]]", 1)
    tail = tail.replace('measurements = ["spinal_cord_csa"]\n\n', "", 1)
    (folder / "cord" / "model.toml").write_text(
        f'{head}measurements = ["spinal_cord_csa"]\n\n[[data]]{tail}', encoding="utf-8"
    )
    return ModelStore(folder, device="cpu", threads=1)


def tube(plane="axial", spacing=(3.0, 1.0, 1.0), shape=(16, 70, 70), *, angle_deg=0.0, at_mm=(0.0, 0.0), **attributes):
    """Data sets of a bright tube along z through a dark block around the origin."""
    directions = builders.oblique(plane, angle_deg=angle_deg) if angle_deg else builders.DIRECTIONS[plane]
    row, column = (np.array(vector) for vector in directions)
    axes = np.stack([np.cross(row, column), column, row], axis=1) * spacing
    origin = -axes @ ((np.array(shape) - 1) / 2)
    points = np.moveaxis(np.indices(shape), 0, -1) @ axes.T + origin
    distance = np.hypot(points[..., 0] - at_mm[0], points[..., 1] - at_mm[1])
    voxels = np.rint(60 + 900 * np.clip(RADIUS_MM - distance + 0.5, 0, 1)).astype(np.uint16)
    invert = attributes.pop("invert", False)
    voxels = (1000 - voxels) if invert else voxels
    return builders.mr_series(
        voxels, plane=plane, directions=directions, spacing_mm=spacing, origin_mm=tuple(origin), **attributes
    )


def analysed(datasets, models, tmp_path: Path):
    """Return the row, the series' entry in findings.json, and the notes of the SR."""
    builders.write(datasets, tmp_path / "in")
    (row,) = Batch(models, tmp_path / "out", model="cord").run([tmp_path / "in"])
    (study,) = json.loads((tmp_path / "out" / "findings.json").read_text())["studies"]
    (report,) = (tmp_path / "out").rglob("sr.dcm")
    return row, study["series"][0], read_sr(report)


def mean_csa(entry) -> dict:
    return next(q for q in entry["findings"][0]["quantities"] if q["key"] == "csa_mean")


@pytest.mark.parametrize(
    "options",
    [
        {"spacing": (0.3, 1.0, 1.0), "shape": (100, 60, 60)},
        {"spacing": (17.0, 1.0, 1.0), "shape": (6, 60, 60)},
        {"plane": "sagittal", "spacing": (1.0, 1.0, 1.0), "shape": (50, 60, 60)},
        {"plane": "coronal", "spacing": (1.0, 1.0, 1.0), "shape": (50, 60, 60)},
        {"angle_deg": 25.0},
    ],
    ids=["0.3 mm", "17 mm", "sagittal", "coronal", "oblique"],
)
def test_any_plane_and_thickness_gives_the_area(options, models, tmp_path):
    row, entry, report = analysed(tube(**options), models, tmp_path)

    assert row.state == "done"
    assert mean_csa(entry)["value"] == pytest.approx(AREA_MM2, rel=0.2)
    assert report.findings[0].quantities


def test_thick_sagittal_slices_are_measured_only_from_front_to_back(models, tmp_path):
    options = {"plane": "sagittal", "spacing": (4.0, 1.0, 1.0), "shape": (15, 60, 60)}

    _, entry, report = analysed(tube(**options), models, tmp_path)

    assert mean_csa(entry)["value"] is None
    assert "4.0 mm right to left" in mean_csa(entry)["reason"]
    assert any("4.0 mm right to left" in note for note in report.notes)


def test_an_image_cropped_to_the_cord_is_measured_or_says_that_none_was_found(models, tmp_path):
    _, entry, report = analysed(tube(shape=(16, 15, 15)), models, tmp_path)

    said = " ".join(entry["notes"])
    assert entry["findings"] or "no cord found: score" in said
    assert bool(entry["findings"]) == bool(report.findings)


def test_where_the_cord_leaves_the_field_nothing_is_said(models, tmp_path):
    _, entry, report = analysed(tube(at_mm=(33.0, 0.0)), models, tmp_path)

    assert mean_csa(entry)["value"] is None
    assert "the cord touches the border of the image" in mean_csa(entry)["reason"]
    assert any("touches the border" in note for note in report.findings[0].notes)


def test_two_stacks_in_a_series_are_refused(models, tmp_path):
    first = tube(shape=(6, 40, 40))
    second = tube("sagittal", shape=(6, 40, 40), series_uid=first[0].SeriesInstanceUID)
    for dataset in second:
        dataset.StudyInstanceUID = first[0].StudyInstanceUID
        dataset.FrameOfReferenceUID = first[0].FrameOfReferenceUID

    row, entry, report = analysed([*first, *second], models, tmp_path)

    assert row.state == entry["state"] == "refused"
    assert "mixed orientations: 6 axial, 6 sagittal slices" in entry["reason"]
    assert any("mixed orientations" in note for note in report.notes)


@pytest.mark.parametrize("invert", [False, True], ids=["constant", "inverted"])
def test_an_image_without_what_the_model_knows_has_no_cord(invert, models, tmp_path):
    datasets = tube(invert=True) if invert else tube(at_mm=(500.0, 0.0))

    row, entry, report = analysed(datasets, models, tmp_path)

    assert (row.state, entry["findings"]) == ("done", [])
    assert any("no cord found: score" in note for note in entry["notes"])
    assert any("no cord found: score" in note for note in report.notes)


def test_values_that_are_no_numbers_are_replaced_and_said(models, tmp_path):
    distance = np.hypot(*(np.indices((60, 60)) - 30))
    voxels = np.repeat((60 + 900 * np.clip(RADIUS_MM - distance + 0.5, 0, 1))[..., None], 20, axis=2)
    voxels[0, 0, :4] = (np.nan, np.inf, -np.inf, np.nan)
    nibabel.save(
        nibabel.Nifti1Image(voxels.astype(np.float32), np.diag([1.0, 1.0, 3.0, 1.0])), tmp_path / "neck.nii.gz"
    )

    Batch(models, tmp_path / "out", model="cord").run([tmp_path / "neck.nii.gz"])

    (study,) = json.loads((tmp_path / "out" / "findings.json").read_text())["studies"]
    entry = study["series"][0]
    assert "4 values were not finite and were replaced" in entry["notes"]
    assert mean_csa(entry)["value"] == pytest.approx(AREA_MM2, rel=0.2)


def test_a_single_slice_is_refused(models, tmp_path):
    row, entry, report = analysed(tube(shape=(1, 60, 60)), models, tmp_path)

    assert row.state == entry["state"] == "refused"
    assert "1 slice where a volume needs at least 2" in entry["reason"]
    assert any("1 slice where" in note for note in report.notes)
