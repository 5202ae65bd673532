"""The cord predictor around a network that calls cord what is bright in its window."""

import hashlib

import numpy as np
import onnx
import pytest

from dicom_ai.domain.findings import StructureKind
from dicom_ai.domain.image import Radiograph, Volume
from dicom_ai.errors import ModelError, UnsuitableImage
from dicom_ai.imaging.orient import axial_first
from dicom_ai.inference.registry import ModelStore
from dicom_ai.inference.softseg import normalised

from .models import source, threshold_graph
from .predictor_contract import PredictorContract

MANIFEST = """
name = "cord"
version = "1.0"
family = "softseg"
description = "Calls bright things cord"
licence = "Apache-2.0"

[[data]]
name = "none"
licence = "CC0-1.0"

[input]
modalities = ["MR"]
spacing_mm = [1.0, 1.0, 1.0]
patch = [32, 32, 32]

[[outputs]]
value = 1
kind = "spinal_cord"
name = "Spinal cord"

[[weights]]
file = "weights.onnx"
sha256 = "{sha256}"

[family_options]
{options}
"""

AXIAL = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
SAGITTAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
RADIUS_MM = 5.0


def load(tmp_path, options="", limit=2.2):
    folder = tmp_path / "cord"
    folder.mkdir()
    onnx.save(threshold_graph(limit, steepness=8.0), folder / "weights.onnx")
    digest = hashlib.sha256((folder / "weights.onnx").read_bytes()).hexdigest()
    (folder / "model.toml").write_text(MANIFEST.format(sha256=digest, options=options))
    return ModelStore(tmp_path, device="cpu", threads=1).load("cord")


def tube(shape=(60, 80, 90), spacing=(1.0, 1.0, 1.0), directions=AXIAL, at_mm=(20.0, 62.0)):
    """A straight bright tube along z at (x, y), in a dark block."""
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing)
    if directions is SAGITTAL:
        affine[:3, 3] = (0.0, 0.0, (shape[1] - 1) * spacing[1])
    empty = Volume(np.zeros(shape, np.float32), affine)
    points = empty.to_mm(np.moveaxis(np.indices(shape), 0, -1))
    distance = np.hypot(points[..., 0] - at_mm[0], points[..., 1] - at_mm[1])
    return empty.with_voxels((100 * np.clip(RADIUS_MM - distance + 0.5, 0, 1)).astype(np.float32))


class TestContract(PredictorContract):
    @pytest.fixture
    def predictor(self, tmp_path):
        return load(tmp_path)

    @pytest.fixture
    def image(self):
        return source(tube())


@pytest.mark.parametrize(
    ("shape", "spacing", "directions"),
    [
        ((60, 80, 90), (1.0, 1.0, 1.0), AXIAL),
        ((14, 160, 180), (5.0, 0.5, 0.5), AXIAL),
        ((90, 60, 80), (1.0, 1.0, 1.0), SAGITTAL),
    ],
)
def test_a_tube_away_from_the_middle_keeps_its_area_on_every_grid(tmp_path, shape, spacing, directions):
    image = tube(shape, spacing, directions)

    result = load(tmp_path).predict(source(image))

    soft = axial_first(image.with_voxels(result.soft))
    areas = soft.voxels.sum(axis=(1, 2)) * np.prod(soft.spacing_mm[1:])
    assert [segment.structure.kind for segment in result.segments] == [StructureKind.SPINAL_CORD]
    assert areas[2:-2] == pytest.approx(np.full(len(areas) - 4, np.pi * RADIUS_MM**2), rel=0.2)
    assert (soft.voxels[:, :20, :].sum(), soft.voxels[:, :, -20:].sum()) == (0, 0)


def test_the_mask_reaches_both_ends_of_the_image(tmp_path):
    result = load(tmp_path).predict(source(tube()))

    assert result.labels.any(axis=(1, 2)).all()


def test_of_two_pieces_the_larger_is_the_cord(tmp_path):
    image = tube()
    image.voxels[10:15, 8:14, 70:76] = 100

    result = load(tmp_path).predict(source(image))

    assert result.labels[:, 55:70, 10:30].any()
    assert not result.labels[:, :20, 60:].any()
    assert not result.soft[:, :20, 60:].any()


@pytest.mark.parametrize("voxels", [np.zeros((40, 50, 60)), np.full((40, 50, 60), 7.0)])
def test_an_image_without_contrast_has_no_cord(tmp_path, voxels):
    affine = np.eye(4)
    affine[:3, :3] = AXIAL

    result = load(tmp_path).predict(source(Volume(voxels.astype(np.float32), affine)))

    assert result.segments == ()
    assert not result.labels.any()
    assert result.score < 0.5
    assert "no cord found: score" in result.notes[-1]


def test_a_speck_is_not_a_cord_and_the_note_gives_the_score(tmp_path):
    image = tube().with_voxels(np.zeros((60, 80, 90), np.float32))
    image.voxels[30:35, 40:45, 40:45] = 100

    result = load(tmp_path, limit=1.0).predict(source(image))

    assert result.segments == ()
    assert "where 0.5 is needed" in result.notes[-1]


def test_values_that_are_no_numbers_are_replaced_and_reported(tmp_path):
    image = tube()
    image.voxels[0, 0, :3] = (np.nan, np.inf, -np.inf)

    result = load(tmp_path).predict(source(image))

    assert result.segments
    assert "3 values were not finite and were replaced" in result.notes


def test_few_voxels_are_enough_to_answer(tmp_path):
    image = tube((3, 12, 12), at_mm=(6.0, 6.0))

    assert load(tmp_path).predict(source(image)).labels.shape == (3, 12, 12)


def test_slices_far_apart_are_not_made_into_more_than_five_each(tmp_path):
    image = tube((5, 80, 90), (17.0, 1.0, 1.0))

    assert load(tmp_path).predict(source(image)).labels.any(axis=(1, 2)).all()


def test_a_radiograph_is_refused(tmp_path):
    with pytest.raises(UnsuitableImage, match="projection"):
        load(tmp_path).predict(source(Radiograph(np.zeros((20, 20), np.float32))))


def test_an_unknown_option_names_its_place(tmp_path):
    with pytest.raises(ModelError, match=r"family_options\.speed"):
        load(tmp_path, options="speed = 3")


def test_normalisation_looks_only_at_the_field_of_view():
    image = np.random.default_rng(0).normal(5, 2, (6, 7, 8)).astype(np.float32)
    inside = np.zeros(image.shape, bool)
    inside[1:5] = True

    result = normalised(image, inside)

    assert not result[~inside].any()
    assert result[inside].mean() == pytest.approx(0, abs=1e-5)
    assert result[inside].std() == pytest.approx(1, abs=1e-3)
