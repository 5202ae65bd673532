"""The shipped spine weights on real images: the same in both runtimes, and a neck of a person they have never seen."""

import re
from itertools import pairwise

import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.analysis.batch import Batch
from dicom_ai.dicom.nifti import read_nifti
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.imaging.resample import grid_for, resample_onto
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.routing.shipped import read_rules
from tests import builders
from tests.peers import need_data

pytest.importorskip("onnxruntime", reason="no model runtime is installed")

NECK = ("C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4")
"""What the image of the neck shows whole."""


def store(runtime: str) -> ModelStore:
    return ModelStore(default_models_folder(), device="cpu", runtime=runtime, threads=1)


@pytest.fixture(scope="module")
def shipped():
    return store("onnx").load("spine-mr")


def tiles(path, patch):
    """Patches of the sagittal slices of a real image as the predictor makes them, with their neighbours."""
    image = read_nifti(path).image
    assert isinstance(image, Volume)
    voxels = resample_onto(image, grid_for(image, spacing_mm=(0, 1, 1), orientation="LIP")).voxels
    for share in (0.3, 0.5, 0.7):
        place = round(share * (len(voxels) - 1))
        for start in (0, max(0, voxels.shape[1] - patch[0])):
            columns = max(0, (voxels.shape[2] - patch[1]) // 2)
            box = slice(start, start + patch[0]), slice(columns, columns + patch[1])
            tile = voxels[[place - 3, place, place + 3]][:, *box]
            missing = [(0, 0), *((0, want - had) for want, had in zip(patch, tile.shape[1:], strict=True))]
            tile = np.pad(tile, missing, mode="edge")
            yield ((tile - tile.mean()) / (tile.std() + 1e-6)).astype(np.float32)[None]


@pytest.mark.parametrize(
    "name",
    ["spine_mr/chu_04_image", "spine_mr/menezes_discs_11_image", "spine_mr/myosegmentum_05_image",
     "spinal_cord_mr/errsm30_t2"],
)  # fmt: skip
def test_onnx_and_torch_give_the_same_logits_on_real_images(shipped, name):
    pytest.importorskip("torch", reason="the torch extra is not installed")
    folder, stem = name.split("/")
    path = need_data(folder) / f"{stem}.nii.gz"
    other = store("torch").load("spine-mr")

    apart = [
        float(np.abs(shipped._runner.run(tile)[0] - other._runner.run(tile)[0]).max())
        for tile in tiles(path, shipped.manifest.input.patch[1:])
    ]

    assert len(apart) == 6
    assert max(apart) < 1e-4


@pytest.fixture(scope="module")
def neck(shipped):
    """What the shipped weights find in the neck; no image of this person was trained on."""
    training_cases = (default_models_folder() / "spine-mr" / "training_cases.json").read_text(encoding="utf-8")
    assert "errsm30" not in training_cases
    return shipped.predict(read_nifti(need_data("spinal_cord_mr") / "errsm30_t2.nii.gz"))


def test_every_vertebra_of_a_neck_never_seen_is_found_and_named_from_c2_down(neck):
    assert [vertebra.level for vertebra in neck.vertebrae][: len(NECK)] == list(NECK)
    assert {(vertebra.anchor, vertebra.qualified) for vertebra in neck.vertebrae} == {("counted from C2", False)}
    discs = [s.structure.level for s in neck.segments if s.structure.level and "/" in s.structure.level]
    assert discs[: len(NECK) - 1] == [f"{above}/{below}" for above, below in pairwise(NECK)]


def test_the_neck_agrees_with_the_levels_drawn_along_its_cord(neck):
    """They follow the toolbox's older numbering, in which a number is one lower (docs/labelling.md)."""
    drawn = read_nifti(need_data("spinal_cord_mr") / "errsm30_t2_crop_levels.nii.gz").image
    heights_mm = drawn.to_mm(np.argwhere(drawn.voxels > 0))[:, 2]
    values = drawn.voxels[drawn.voxels > 0].astype(int)
    levels = {vertebra.level: float(vertebra.centroid_mm[2]) for vertebra in neck.vertebrae}

    beside = {
        int(value): [
            level
            for level, height in levels.items()
            if heights_mm[values == value].min() <= height <= heights_mm[values == value].max()
        ]
        for value in np.unique(values)
    }

    assert beside == {2: ["C3"], 3: ["C4"], 4: ["C5"], 5: []}  # of the last only three slices are drawn


@pytest.fixture(scope="module")
def lumbar():
    """A lumbar image of a person never seen, with slices 4 mm apart, and the drawn L5 to L1 as 1 to 5."""
    from dicom_ai.training.spine_evaluation import thinned

    folder = need_data("spine_mr")
    image, truth = (read_nifti(folder / f"myosegmentum_05_{name}.nii.gz").image for name in ("image", "labels"))
    grid = grid_for(image, spacing_mm=(0, 1, 1), orientation="LIP")
    return thinned(resample_onto(image, grid), 4), thinned(resample_onto(truth, grid, order=0), 4).voxels


def levels_in(found, truth):
    """The level that was given to each drawn vertebra, L5 first."""
    names = {segment.number: segment.structure.level for segment in found.segments}
    inside = [found.labels[truth == value] for value in range(1, 6)]
    return [names.get(int(np.bincount(one).argmax())) if one.size else None for one in inside]


DRAWN = ["L5", "L4", "L3", "L2", "L1"]


def test_a_lumbar_spine_never_seen_is_named(shipped, lumbar):
    image, truth = lumbar

    assert levels_in(shipped.predict(SourceImage("1", "2", image, ())), truth) == DRAWN


def test_left_and_right_swapped_in_the_header_change_no_level(shipped, lumbar):
    image, truth = lumbar
    mirrored = image.with_voxels(np.ascontiguousarray(image.voxels[::-1]))

    assert levels_in(shipped.predict(SourceImage("1", "2", mirrored, ())), truth[::-1]) == DRAWN


@pytest.mark.parametrize("axes", [(1,), (1, 2), (2,)], ids=["upside down", "turned by half", "back to front"])
def test_an_image_the_wrong_way_round_in_its_header_gets_no_wrong_level(shipped, lumbar, axes):
    image, truth = lumbar
    turned = image.with_voxels(np.ascontiguousarray(np.flip(image.voxels, axes)))

    found = levels_in(shipped.predict(SourceImage("1", "2", turned, ())), np.flip(truth, axes))

    assert all(level in (None, right) for level, right in zip(found, DRAWN, strict=True))
    if 1 in axes:
        assert set(found) == {None}


@pytest.mark.parametrize(
    ("axis", "kept", "named"),
    [
        (2, slice(None, 111), False),
        (2, slice(111, None), False),
        (0, slice(9, None), True),
        (1, slice(106, None), True),
    ],
    ids=["front half", "back half", "one side", "lower half"],
)
def test_a_spine_half_outside_the_image_gets_no_wrong_level(shipped, lumbar, axis, kept, named):
    """The cuts go through the middle of the bodies; to the side and below, the sacrum stays in view."""
    image, truth = lumbar
    box = tuple(kept if place == axis else slice(None) for place in range(3))
    part = Volume(np.ascontiguousarray(image.voxels[box]), image.affine)

    found = levels_in(shipped.predict(SourceImage("1", "2", part, ())), truth[box])

    assert all(level in (None, right) for level, right in zip(found, DRAWN, strict=True))
    assert (found[:3] == DRAWN[:3]) == named


@pytest.mark.parametrize("value", [3, 1], ids=["in L3", "in L5"])
def test_metal_in_a_vertebra_leads_to_no_wrong_level(shipped, lumbar, value):
    """Screws and rods: a void of 20 mm around the middle of a vertebra and behind it, with a bright rim."""
    image, truth = lumbar
    places = np.indices(truth.shape)
    centre = np.argwhere(truth == value).mean(axis=0)
    apart = np.hypot(places[1] - centre[1], np.maximum(0, np.abs(places[2] - centre[2] - 15) - 20))
    voxels = image.voxels.copy()
    voxels[apart < 13] = image.voxels.max()
    voxels[apart < 10] = 0

    found = levels_in(shipped.predict(SourceImage("1", "2", image.with_voxels(voxels), ())), truth)

    assert all(level in (None, right) for level, right in zip(found, DRAWN, strict=True))


def test_the_report_of_the_neck_has_the_area_of_its_cord_at_every_level(tmp_path):
    image = read_nifti(need_data("spinal_cord_mr") / "errsm30_t2.nii.gz").image
    turned = resample_onto(image, grid_for(image, spacing_mm=(0, 0, 0), orientation="LIP")).voxels
    stored = np.rint(np.clip(turned, 0, None) * (4000 / turned.max())).astype(np.uint16)
    millimetres = (1.0, 1.0, 1.0)
    series = builders.mr_series(
        stored, plane="sagittal", spacing_mm=millimetres, SeriesDescription="T2 sag cervical spine"
    )
    batch = Batch(store("onnx"), tmp_path / "out", rules=read_rules(None))

    rows = batch.run(builders.write(series, tmp_path / "images"))

    assert [(row.model, row.state) for row in rows] == [("spinal-cord", "done"), ("spine-mr", "done")]
    report = read_sr(dcmread(next(path for row in rows for path in row.outputs if re.search(r"sr\.dcm$", path))))
    areas = {
        finding.site.removesuffix(" vertebra"): quantity.value
        for finding in report.findings
        for quantity in finding.quantities
        if quantity.key == "csa_mean"
    }
    assert all(30 < areas[level] < 90 for level in NECK)
    assert areas["C4"] > areas["C6"] > areas["T1"] > areas["T3"]
