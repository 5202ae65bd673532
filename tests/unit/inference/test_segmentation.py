"""An administrator's own ONNX model gives a segmentation from its folder alone."""

from dataclasses import replace

import numpy as np
import pytest

from dicom_ai.domain.image import Radiograph, Volume
from dicom_ai.errors import ModelError, UnsuitableImage
from dicom_ai.inference.registry import ModelStore

from .models import bright_ball, label_graph, model_folder, source, threshold_graph, two_class_graph
from .predictor_contract import PredictorContract

SIGMOID = 'activation = "sigmoid"'
BALL_MM3 = 4 / 3 * np.pi * 6.0**3


def predictor(tmp_path, graph, **tables):
    model_folder(tmp_path / "bright", graph, **tables)
    return ModelStore(tmp_path, device="cpu", threads=1).load("bright")


def volume_mm3(labels: np.ndarray, volume: Volume) -> float:
    return float(np.count_nonzero(labels) * np.prod(volume.spacing_mm))


def input_table(*lines: str) -> str:
    return "\n".join(('modalities = ["MR"]', *lines))


class TestVolumes(PredictorContract):
    @pytest.fixture
    def predictor(self, tmp_path):
        table = input_table('normalisation = "none"', "patch = [8, 16, 16]", "spacing_mm = [1.5, 0.8, 0.8]")
        return predictor(tmp_path, threshold_graph(50.0), input_table=table, options=f"{SIGMOID}\nsoft = true")

    @pytest.fixture
    def image(self):
        return source(bright_ball())


class TestSlices(PredictorContract):
    @pytest.fixture
    def predictor(self, tmp_path):
        return predictor(tmp_path, threshold_graph(50.0, space=2), options=f"{SIGMOID}\ndimensions = 2")

    @pytest.fixture
    def image(self):
        return source(bright_ball())


class TestRadiographs(PredictorContract):
    @pytest.fixture
    def predictor(self, tmp_path):
        table = 'kind = "radiograph"\nmodalities = ["DX"]\nnormalisation = "none"\npatch = [64, 64]'
        options = f'{SIGMOID}\ndimensions = 2\nfit = "patch"'
        return predictor(tmp_path, threshold_graph(50.0, space=2), input_table=table, options=options)

    @pytest.fixture
    def image(self):
        pixels = np.zeros((90, 70), np.float32)
        pixels[30:60, 16:48] = 100
        return source(Radiograph(pixels))


def test_a_new_model_folder_segments_without_a_change_of_code(tmp_path):
    ball = bright_ball()

    result = predictor(tmp_path, threshold_graph(50.0), options=SIGMOID).predict(source(ball))

    assert np.array_equal(result.labels, (ball.voxels > 50).astype(np.uint8))
    segment = result.segments[0]
    assert (segment.number, segment.structure.name) == (1, "Bright tissue")
    assert segment.structure.code == ("85756007", "SCT", "Tissue")
    assert result.score == pytest.approx(1.0)
    assert result.soft is None


@pytest.mark.parametrize(
    ("graph", "options"),
    [(two_class_graph(50.0), ""), (label_graph(50.0), 'output = "labels"'), (threshold_graph(50.0), SIGMOID)],
    ids=["softmax", "labels", "sigmoid"],
)
@pytest.mark.parametrize("place", ['orientation = "SPL"', 'orientation = "LAI"\nspacing_mm = [0.5, 0.5, 0.5]'])
def test_the_result_lies_on_the_native_grid_whatever_grid_the_model_works_on(tmp_path, graph, options, place):
    ball = bright_ball(spacing_mm=(2.0, 1.0, 1.0))
    table = input_table('normalisation = "none"', place)

    result = predictor(tmp_path, graph, input_table=table, options=options).predict(source(ball))

    assert result.labels.shape == ball.shape
    assert result.labels.dtype == np.uint8
    truth = ball.voxels > 50
    assert 2 * np.count_nonzero(truth & (result.labels > 0)) / (truth.sum() + (result.labels > 0).sum()) > 0.93


def test_windows_give_what_the_whole_image_gives(tmp_path):
    ball = bright_ball((20, 40, 44), (1, 1, 1))
    whole = predictor(tmp_path / "a", threshold_graph(50.0), options=SIGMOID)
    table = input_table('normalisation = "none"', "patch = [8, 16, 16]")
    windows = predictor(tmp_path / "b", threshold_graph(50.0), input_table=table, options=SIGMOID)

    assert np.array_equal(windows.predict(source(ball)).labels, whole.predict(source(ball)).labels)


def test_a_slice_network_sees_one_slice_at_a_time(tmp_path):
    ball = bright_ball()
    model = predictor(tmp_path, threshold_graph(50.0, space=2), options=f"{SIGMOID}\ndimensions = 2")
    seen: list[float] = []

    result = model.predict(source(ball), progress=seen.append)

    assert np.array_equal(result.labels > 0, ball.voxels > 50)
    assert seen == pytest.approx([(index + 1) / 12 for index in range(12)])


def test_a_radiograph_is_stretched_to_the_patch_and_back(tmp_path):
    pixels = np.zeros((90, 64), np.float32)
    pixels[30:60, 16:48] = 100
    table = 'kind = "radiograph"\nmodalities = ["DX", "CR"]\nnormalisation = "none"\npatch = [180, 128]'
    options = f'{SIGMOID}\ndimensions = 2\nfit = "patch"'

    model = predictor(tmp_path, threshold_graph(50.0, space=2), input_table=table, options=options)
    model.accepts(source(Radiograph(pixels)), modality="DX")
    result = model.predict(source(Radiograph(pixels)))

    assert result.labels.shape == (90, 64)
    assert np.array_equal(result.labels > 0, pixels > 50)


def test_a_radiograph_without_calibration_is_refused_by_a_model_in_millimetres(tmp_path):
    table = 'kind = "radiograph"\nmodalities = ["DX"]\nspacing_mm = [0.5, 0.5]'
    model = predictor(tmp_path, threshold_graph(0.0, space=2), input_table=table, options=f"{SIGMOID}\ndimensions = 2")
    pixels = np.zeros((8, 8), np.float32)

    model.accepts(source(Radiograph(pixels, (0.2, 0.2))), modality="DX")
    with pytest.raises(UnsuitableImage, match="no calibrated pixel spacing"):
        model.accepts(source(Radiograph(pixels)), modality="DX")


def test_the_manifest_decides_what_is_accepted(tmp_path):
    model = predictor(tmp_path, threshold_graph(50.0), options=SIGMOID)

    model.accepts(source(bright_ball()), modality="MR")
    with pytest.raises(UnsuitableImage, match="modality CT where the model takes MR"):
        model.accepts(source(bright_ball()), modality="CT")


def test_nothing_found_is_told_with_the_score(tmp_path):
    ball = bright_ball()

    result = predictor(tmp_path, threshold_graph(1000.0, steepness=0.01), options=SIGMOID).predict(source(ball))

    assert result.segments == ()
    assert not result.labels.any()
    assert result.notes == ("nothing found: highest score 0.00 where 0.5 is needed",)


def test_values_that_are_no_numbers_do_not_spoil_the_image(tmp_path):
    ball = bright_ball()
    ball.voxels[0, 0, :3] = np.nan

    result = predictor(tmp_path, threshold_graph(50.0), options=SIGMOID).predict(source(ball))

    assert volume_mm3(result.labels, ball) == pytest.approx(BALL_MM3, rel=0.1)
    assert result.notes == ("3 values were not finite and were replaced",)


@pytest.mark.parametrize("normalisation", ["zscore", "percentile_zscore", "minmax"])
def test_a_constant_image_has_nothing_to_find(tmp_path, normalisation):
    table = input_table(f'normalisation = "{normalisation}"')
    model = predictor(tmp_path, threshold_graph(0.5, steepness=10.0), input_table=table, options=SIGMOID)
    flat = bright_ball().with_voxels(np.full((12, 20, 24), 77.0, np.float32))

    assert model.predict(source(flat)).segments == ()


def test_only_the_largest_piece_is_kept_where_asked(tmp_path):
    ball = bright_ball()
    ball.voxels[0, 0, 0] = 100

    result = predictor(tmp_path, threshold_graph(50.0), options=f"{SIGMOID}\nlargest_component = true").predict(
        source(ball)
    )

    assert result.labels[0, 0, 0] == 0
    assert result.labels[6, 10, 12] == 1


def test_a_soft_mask_keeps_partial_volume(tmp_path):
    ball = bright_ball()
    half = ball.with_voxels(ball.voxels * 0.5)
    options = f"{SIGMOID}\nsoft = true"

    result = predictor(tmp_path, threshold_graph(49.0, steepness=0.5), options=options).predict(source(half))

    assert result.soft is not None
    assert result.soft.dtype == np.float32
    assert result.soft[6, 10, 12] == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-5)
    assert result.soft[0, 0, 0] == 0.0


def test_whole_images_are_padded_to_what_the_network_needs(tmp_path):
    ball = bright_ball((11, 19, 23))

    result = predictor(tmp_path, threshold_graph(50.0), options=f"{SIGMOID}\ndivisible_by = 8").predict(source(ball))

    assert np.array_equal(result.labels > 0, ball.voxels > 50)


def test_an_oblique_volume_keeps_its_grid(tmp_path):
    ball = bright_ball((20, 24, 24), (1, 1, 1))
    angle = np.deg2rad(25)
    turn = np.eye(4)
    turn[:3, :3] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    oblique = replace(ball, affine=turn @ ball.affine)
    table = input_table('normalisation = "none"', 'orientation = "LPS"', "spacing_mm = [0.8, 0.8, 0.8]")

    result = predictor(tmp_path, threshold_graph(50.0), input_table=table, options=SIGMOID).predict(source(oblique))

    assert volume_mm3(result.labels, oblique) == pytest.approx(BALL_MM3, rel=0.1)


def test_a_label_model_smaller_than_the_image_says_what_to_do(tmp_path):
    table = input_table("patch = [8, 8, 8]")
    model = predictor(tmp_path, label_graph(0.0), input_table=table, options='output = "labels"')

    with pytest.raises(ModelError, match="leave out patch, or export the scores"):
        model.predict(source(bright_ball()))


def test_a_network_with_too_few_classes_is_told(tmp_path):
    model = predictor(tmp_path, threshold_graph(0.0), options='activation = "softmax"')

    with pytest.raises(ModelError, match=r"the network gives \(1, 1, 12, 20, 24\) .* \(1, 2 or more, 12, 20, 24\)"):
        model.predict(source(bright_ball()))


def test_values_of_the_network_that_are_no_numbers_are_told(tmp_path):
    model = predictor(tmp_path, threshold_graph(0.0, steepness=float("nan")), options=SIGMOID)

    with pytest.raises(ModelError, match="the network gives values that are not finite"):
        model.predict(source(bright_ball()))


@pytest.mark.parametrize(
    ("options", "table", "message"),
    [
        ('output = "labels"\nsoft = true', "", "family_options.soft: needs a model with scores"),
        ('fit = "patch"', "", "family_options.fit: 'patch' needs dimensions = 2 and a patch"),
        ("dimensions = 2", "patch = [4, 8, 8]", "family_options.dimensions: 2 needs a patch of one slice, not 4"),
        ("dimensions = 4", "", "family_options.dimensions: 4 must be"),
        ("", 'kind = "radiograph"', "family_options.dimensions: must be 2 for a radiograph"),
        ("tta = true", "", "family_options.tta: unknown key"),
    ],
)
def test_options_that_do_not_fit_are_named(tmp_path, options, table, message):
    with pytest.raises(ModelError) as raised:
        predictor(tmp_path, threshold_graph(0.0), input_table=input_table(table), options=options)

    assert message in str(raised.value)
