"""The shipped cord weights: on a neck whose area is known in closed form, and on a person they have never seen."""

import numpy as np
import pytest

from dicom_ai.dicom.nifti import read_nifti
from dicom_ai.domain.image import SourceImage
from dicom_ai.imaging.neck_phantom import NeckShape, neck_phantom, sagittal_grid
from dicom_ai.imaging.orient import axial_first
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.measurements.spinal_cord_csa import measure_cord
from tests.peers import need_data

pytest.importorskip("onnxruntime", reason="no model runtime is installed")


@pytest.fixture(scope="module")
def predictor():
    return ModelStore(default_models_folder(), device="cpu", threads=2).load("spinal-cord")


def test_the_area_of_the_phantom_is_found_at_every_position(predictor):
    phantom = neck_phantom(NeckShape(), sagittal_grid(NeckShape()), contrast="T2")

    result = predictor.predict(SourceImage("1", "2", phantom.image, ()))
    profile = measure_cord(phantom.image.with_voxels(result.soft))
    measured = [s for s in profile.slices if s.measured]
    places = np.array([s.section.centroid_mm for s in measured])
    found = np.array([s.section.area_mm2 for s in measured])
    truth = phantom.truth.csa_at(places)
    stretch = (-places[:, 2] // 20).astype(int)
    means = {int(k): found[stretch == k].mean() / truth[stretch == k].mean() for k in np.unique(stretch) if k >= 0}

    assert result.segments
    assert len(means) >= 9
    assert means == pytest.approx(dict.fromkeys(means, 1.0), rel=0.05)
    assert found[places[:, 2] < -2] == pytest.approx(truth[places[:, 2] < -2], rel=0.08)


@pytest.fixture(scope="module")
def never_seen(predictor):
    """The scores of a person of whom no image in any contrast was trained on."""
    from dicom_ai.training.cord_evaluation import on_grid_of, seen_people
    from dicom_ai.training.cord_scores import cord_scores

    folder = need_data("spinal_cord_mr")
    source = read_nifti(folder / "errsm30_t2.nii.gz")
    truth = axial_first(read_nifti(folder / "errsm30_t2_crop_cord.nii.gz").image)
    assert "errsm30" not in seen_people(default_models_folder() / "spinal-cord")
    result = predictor.predict(source)
    return cord_scores(on_grid_of(source.image.with_voxels(result.soft), truth), truth)


def test_the_cord_of_a_person_never_seen_is_found_in_every_slice(never_seen):
    assert never_seen.dice >= 0.85
    assert never_seen.slices_missed == 0
    assert abs(never_seen.csa_bias_percent) <= 10


def test_every_slice_of_a_person_never_seen_is_within_ten_percent(never_seen):
    assert never_seen.csa_worst_percent <= 10


def test_what_is_hardly_darker_in_a_lumbar_sac_is_no_cord(predictor):
    source = read_nifti(need_data("spine_mr") / "myosegmentum_21_image.nii.gz")

    result = predictor.predict(source)

    assert not result.segments
    assert not result.soft.any()
    assert any("no cord found: score 0.6" in note for note in result.notes)


def test_what_float16_rounds_away_moves_the_area_by_less_than_a_fifth_of_a_percent():
    torch = pytest.importorskip("torch", reason="the extra [train] is not installed")
    from dicom_ai.inference.manifest import read_manifest
    from dicom_ai.inference.runtime import give_weights
    from dicom_ai.inference.softseg import build_net, normalised

    manifest = read_manifest(default_models_folder() / "spinal-cord")
    net = build_net(manifest, "main").eval()
    give_weights(net, manifest.weights_of("main").path)
    shape = NeckShape()
    grid = sagittal_grid(shape, extent_mm=(48.0, 64.0, 48.0), top_mm=-40.0)
    image = axial_first(neck_phantom(shape, grid).image).voxels
    stack = torch.from_numpy(normalised(image, np.ones(image.shape, bool)))[None, None]

    def areas() -> np.ndarray:
        with torch.inference_mode():
            return torch.sigmoid(net(stack))[0, 0].sum((1, 2)).numpy()[4:-4]

    before = areas()
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in net.parameters():
            # The float32 value that was rounded lies within half of the last of 11 bits.
            weights.mul_(1 + (2 * torch.rand_like(weights) - 1) * 2.0**-11)

    assert before.min() > 20
    assert areas() == pytest.approx(before, rel=0.002)
