"""The shipped radiograph model on real films that it was not trained on."""

from dataclasses import replace

import numpy as np
import pytest

from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.training.data.xray_cases import read_films, split
from dicom_ai.training.vertxnet_evaluation import source_of
from dicom_ai.training.vertxnet_scores import score_view, view_of
from tests.peers import need_data


@pytest.fixture(scope="module")
def predictor():
    return ModelStore(default_models_folder(), device="cpu", threads=2).load("spine-xray")


@pytest.fixture(scope="module")
def held_out():
    return {film.name: film for film in split(read_films(need_data("radiographs")))[1]}


@pytest.fixture(scope="module")
def lumbar(held_out):
    return view_of(held_out["lateral_04"], "lumbar")


def test_all_lumbar_bodies_of_a_film_get_their_levels(predictor, lumbar):
    score = score_view(lumbar, predictor.predict(source_of(lumbar)), {}, mirrored=False)

    assert (score.found, score.levels_right, score.levels_wrong) == (7, 7, 0)
    assert score.side == "right"


def test_an_ap_film_gets_no_level(predictor, held_out):
    result = predictor.predict(source_of(held_out["ap_02"]))

    assert not any(vertebra.level for vertebra in result.vertebrae)


def test_sixteen_bits_give_what_eight_give(predictor, lumbar):
    source = source_of(lumbar)
    deep = replace(source, image=replace(source.image, pixels=source.image.pixels * 257))

    assert np.mean(predictor.predict(deep).labels == predictor.predict(source).labels) > 0.999


def test_a_film_upside_down_gets_no_level(predictor, lumbar):
    result = predictor.predict(source_of(replace(lumbar, pixels=lumbar.pixels[::-1].copy())))

    assert not any(vertebra.level for vertebra in result.vertebrae)


def test_a_film_of_two_vertebrae_gets_no_wrong_level(predictor, held_out):
    film = held_out["lateral_04"]
    place = film.levels.index("L2")
    corners = film.corners[place : place + 2].reshape(-1, 2)
    low, high = corners.min(axis=0).astype(int) - 30, corners.max(axis=0).astype(int) + 30
    cropped = replace(film, pixels=film.pixels[low[1] : high[1], low[0] - 100 : high[0] + 100])

    assert not any(vertebra.level for vertebra in predictor.predict(source_of(cropped)).vertebrae)


def test_torch_sees_in_a_real_film_what_onnx_sees(predictor, lumbar):
    pytest.importorskip("torch", reason="the extra [train] is not installed")
    other = ModelStore(default_models_folder(), device="cpu", runtime="torch", threads=2).load("spine-xray")

    one, two = (which.predict(source_of(lumbar)) for which in (predictor, other))

    assert np.mean(one.labels == two.labels) > 0.999
    assert [vertebra.level for vertebra in one.vertebrae] == [vertebra.level for vertebra in two.vertebrae]


def test_metal_and_collimation_in_a_real_film_give_no_wrong_level(predictor, lumbar):
    pixels = lumbar.pixels.copy()
    rows = pixels.shape[0]
    pixels[: rows // 12], pixels[-rows // 12 :] = 0, 0  # collimated
    place = lumbar.levels.index("L3")
    low, high = lumbar.corners[place].min(axis=0).astype(int), lumbar.corners[place].max(axis=0).astype(int)
    middle = (low[1] + high[1]) // 2
    pixels[middle - 6 : middle + 6, low[0] - 60 : high[0]] = 255  # a pedicle screw

    score = score_view(
        replace(lumbar, pixels=pixels), predictor.predict(source_of(replace(lumbar, pixels=pixels))), {}, mirrored=False
    )

    assert score.levels_wrong == 0
    assert score.extra == 0


def test_a_mirrored_film_gives_the_other_side_and_the_same_levels(predictor, held_out):
    mirrored = view_of(held_out["lateral_04"], "lumbar", mirrored=True)

    score = score_view(mirrored, predictor.predict(source_of(mirrored)), {}, mirrored=True)

    assert (score.levels_right, score.levels_wrong, score.side) == (7, 0, "right")
