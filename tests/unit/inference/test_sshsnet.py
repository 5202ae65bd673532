"""The spine predictor with the shipped weights on a drawn column, and what it refuses."""

import numpy as np
import pytest

from dicom_ai.anatomy.separation import Disc, Parts
from dicom_ai.domain.findings import StructureKind
from dicom_ai.domain.image import Volume
from dicom_ai.errors import ModelError, UnsuitableImage
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.inference.sshsnet import named

from .models import source
from .predictor_contract import PredictorContract

SAGITTAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Columns: where slices (left), rows (feet) and columns (back) of a sagittal grid point in LPS."""
SPACING_MM = (5.0, 1.0, 1.0)
SHAPE = (9, 190, 110)
TOP, BODY, DISC = 12, 25, 9


def affine_of(directions, spacing_mm=SPACING_MM):
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]) * np.array(spacing_mm)
    return affine if directions is SAGITTAL else np.diag([*spacing_mm, 1.0])


def column(bodies=5):
    """A lumbar column as a T2 image shows it: grey bodies with a dark rim, bright discs, a bright canal behind."""
    rng = np.random.default_rng(5)
    image = np.full(SHAPE, 60.0)
    image[:, :, 95:] = 220.0
    image[3:6, :, 76:88] = 255.0
    for place in range(bodies):
        start = TOP + place * (BODY + DISC)
        image[1:8, start : start + BODY, 38:72] = 25.0
        image[1:8, start + 1 : start + BODY - 1, 39:71] = 110.0
        image[1:8, start + BODY + 1 : start + BODY + DISC - 1, 40:70] = 190.0
    noise = rng.normal(0, 4, SHAPE)
    return Volume((image + noise).astype(np.float32), affine_of(SAGITTAL), "1.9")


def bodies_of(volume):
    return [TOP + place * (BODY + DISC) + BODY / 2 for place in range(5)]


@pytest.fixture(scope="module")
def shipped():
    return ModelStore(default_models_folder(), device="cpu", threads=2).load("spine-mr")


class TestContract(PredictorContract):
    @pytest.fixture
    def predictor(self, shipped):
        return shipped

    @pytest.fixture
    def image(self):
        return source(column())


def test_every_body_of_a_column_is_found_and_without_an_anchor_has_no_level(shipped):
    volume = column()

    result = shipped.predict(source(volume))

    rows = volume.to_indices(np.array([vertebra.centroid_mm for vertebra in result.vertebrae]))[:, 1]
    assert all(np.abs(rows - row).min() < 3 for row in bodies_of(volume))
    assert not any(vertebra.level for vertebra in result.vertebrae)
    assert [vertebra.name for vertebra in result.vertebrae] == [f"V{n}" for n in range(1, len(rows) + 1)]
    assert "no level is known" in result.notes[-1]


def test_vertebrae_name_segments_of_their_kind(shipped):
    result = shipped.predict(source(column()))

    kinds = {segment.number: segment.structure.kind for segment in result.segments}
    assert {kinds[vertebra.segment_number] for vertebra in result.vertebrae} == {StructureKind.VERTEBRA}


def test_a_volume_stored_feet_first_and_mirrored_gives_the_same_bodies(shipped):
    volume = column()
    flipped = np.ascontiguousarray(volume.voxels[::-1, ::-1, ::-1])
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_mm(np.array(volume.shape) - 1)
    affine[:3, :3] *= -1

    here = shipped.predict(source(volume))
    there = shipped.predict(source(Volume(flipped, affine, "1.9")))

    assert np.mean((there.labels[::-1, ::-1, ::-1] > 0) != (here.labels > 0)) < 0.01
    assert len(there.vertebrae) == len(here.vertebrae)


@pytest.mark.parametrize(
    "voxels",
    [
        np.zeros(SHAPE),
        np.full(SHAPE, 7.0),
        *(np.random.default_rng(seed).normal(100, 20, SHAPE) for seed in (1, 2, 5, 6)),
    ],
    ids=["zeros", "constant", *(f"noise {seed}" for seed in (1, 2, 5, 6))],
)
def test_no_spine_is_a_result_of_its_own(shipped, voxels):
    result = shipped.predict(source(Volume(voxels.astype(np.float32), affine_of(SAGITTAL))))

    assert result.segments == () and result.vertebrae == ()
    assert not result.labels.any()
    assert result.notes[-1].startswith("no spine found")


def test_values_that_are_not_finite_are_replaced_and_noted(shipped):
    volume = column()
    volume.voxels[0, :4, :4] = np.nan

    result = shipped.predict(source(volume))

    assert "16 values were not finite" in result.notes[0]
    assert len(result.vertebrae) >= 5


AXIAL = np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
CORONAL = np.array([[0, 0, 1.0, 0], [3.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("shape", "affine", "reason"),
    [
        ((20, 40, 40), AXIAL, "axial"),
        ((20, 40, 40), CORONAL, "coronal"),
        ((4, 190, 110), affine_of(SAGITTAL), "4 slices"),
        ((1, 190, 110), affine_of(SAGITTAL), "1 slices"),
        ((9, 60, 60), affine_of(SAGITTAL, (5.0, 3.0, 3.0)), "pixels of 3.00 mm"),
    ],
)
def test_unsuitable_series_are_refused_with_the_reason(shipped, shape, affine, reason):
    volume = Volume(np.zeros(shape, np.float32), affine)

    with pytest.raises(UnsuitableImage, match=reason):
        shipped.accepts(source(volume), modality="MR")


def test_a_family_option_that_is_unknown_names_the_place(tmp_path):
    folder = tmp_path / "spine-mr"
    folder.mkdir()
    shipped_folder = default_models_folder() / "spine-mr"
    (folder / "weights.onnx").write_bytes((shipped_folder / "weights.onnx").read_bytes())
    text = (shipped_folder / "model.toml").read_text(encoding="utf-8")
    (folder / "model.toml").write_text(text.replace('net = "compact"', 'nett = "compact"'), encoding="utf-8")

    with pytest.raises(ModelError, match=r"family_options\.nett"):
        ModelStore(tmp_path, device="cpu", threads=1).load("spine-mr")


def test_torch_and_onnx_give_the_same_logits(shipped):
    pytest.importorskip("torch", reason="the torch extra is not installed")
    other = ModelStore(default_models_folder(), device="cpu", runtime="torch", threads=2).load("spine-mr")
    tile = column().voxels[None, 3:6, :, :].repeat(2, axis=3)[:, :, :192, :128].astype(np.float32)
    tile = np.pad((tile - tile.mean()) / tile.std(), ((0, 0), (0, 0), (0, 192 - tile.shape[2]), (0, 0)))

    here, there = shipped._runner.run(tile)[0], other._runner.run(tile)[0]

    assert np.abs(here - there).max() < 1e-4


def lumbar_parts() -> tuple[Parts, Volume]:
    """Five bodies of 26 mm with discs of 9 mm between, and a sacrum below; sagittal slices of 4 mm."""
    labels = np.zeros((12, 240, 90), np.uint16)
    for place in range(6):
        top = 10 + 35 * place
        labels[2:-2, top : top + 26, 30:64] = place + 1
        if place < 5:
            labels[2:-2, top + 26 : top + 35, 30:64] = place + 7
    discs = tuple(Disc(place + 7, place, place + 1) for place in range(5))
    affine = np.array([[4.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    native = Volume(np.where(labels > 0, 100.0, 10.0).astype(np.float32), affine, "1.2.3")
    return Parts(labels, (1, 2, 3, 4, 5), discs, sacrum=6), native


def test_levels_are_counted_from_a_sacrum_that_is_sure_and_from_no_other():
    parts, native = lumbar_parts()

    sure = named(parts.labels, parts, native, score=0.9)
    unsure = named(parts.labels, parts, native, score=0.9, counted=False)

    assert [vertebra.level for vertebra in sure.vertebrae] == ["L1", "L2", "L3", "L4", "L5"]
    assert [vertebra.level for vertebra in unsure.vertebrae] == [None] * 5
    drawn = [segment.structure.kind for segment in unsure.segments]
    assert drawn.count(StructureKind.SACRUM) == 1 and drawn.count(StructureKind.DISC) == 5


@pytest.mark.parametrize(("gaps", "counted"), [((0, 1, 2, 3, 4), True), ((2, 3), False)])
def test_bones_with_few_discs_between_them_are_drawn_and_not_counted(shipped, monkeypatch, gaps, counted):
    parts, native = lumbar_parts()
    values = shipped._values
    classes = np.zeros(parts.labels.shape, int)
    classes[np.isin(parts.labels, parts.vertebrae)] = values.vertebra
    classes[parts.labels == parts.sacrum] = values.sacrum
    classes[np.isin(parts.labels, [parts.discs[gap].label for gap in gaps])] = values.disc
    sure = np.eye(6, dtype=np.float32)[classes].transpose(3, 0, 1, 2)
    monkeypatch.setattr(shipped, "_probabilities", lambda sagittal, progress: sure)

    result = shipped.predict(source(native))

    named_levels = [vertebra.level for vertebra in result.vertebrae]
    assert named_levels == (["L1", "L2", "L3", "L4", "L5"] if counted else [None] * 5)
    assert any("not told apart" in note for note in result.notes) != counted
