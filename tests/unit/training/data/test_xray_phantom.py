"""Lateral films made from formulas: a spine from C2 to S1 on the film, bone where its corners are."""

import numpy as np
import pytest

from dicom_ai.training.data.xray_phantom import LEVELS, SHAPE, bone_mm, drawn_spine, exposed, phantom_film
from dicom_ai.training.data.xray_synthesis import paint


@pytest.fixture(scope="module")
def film():
    return phantom_film(1)


def test_a_film_has_every_level_from_c2_to_s1_from_above(film):
    centres = film.corners.mean(axis=1)

    assert film.levels == LEVELS
    assert (film.levels[0], film.levels[-1]) == ("C2", "S1")
    assert (np.diff(centres[:, 1]) > 0).all()
    assert (film.corners >= 0).all()
    assert (film.corners < SHAPE[::-1]).all()


def test_anterior_is_on_the_right(film):
    assert (film.corners[:, 1, 0] > film.corners[:, 0, 0]).all()


def test_a_film_is_made_of_its_number(film):
    assert np.array_equal(phantom_film(1).pixels, film.pixels)
    assert not np.array_equal(phantom_film(2).pixels, film.pixels)


@pytest.mark.parametrize("number", [3, 4])
def test_bodies_hold_more_bone_than_the_discs_between_them(number):
    rng = np.random.default_rng(number)
    spine = drawn_spine(rng)
    bone = bone_mm(spine, rng)
    inside, between = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    for upper, lower in zip(spine.corners, spine.corners[1:], strict=False):
        paint(inside, upper)
        paint(between, np.array([upper[3], upper[2], lower[1], lower[0]]))
    disc = (between > 0.9) & (inside == 0)

    assert np.median(bone[inside > 0.9]) > 3 * np.median(bone[disc]) + 1


def test_beer_and_lambert_what_absorbs_more_is_brighter_on_the_film():
    attenuation = np.zeros(SHAPE)
    attenuation[:, 200:] = 1.0
    attenuation[:, 400:] = 2.0

    film = exposed(attenuation, np.random.default_rng(0)).astype(float)
    means = [np.median(film[:, near - 15 : near + 15]) for near in (180, 220, 380, 420)]

    assert means[0] < means[1]
    assert means[2] < means[3]
