"""Outlines of bodies: straight or bowed sides, painted with their area, and found again on a film that was drawn."""

import numpy as np
import pytest

from dicom_ai.training.data.xray_outlines import (
    MOST_BENT,
    POINTS,
    SIDE_POINTS,
    bowed,
    inward,
    paint_outline,
    refined,
    straight,
)

BODY = np.array([[[60.0, 50.0], [140.0, 58.0], [134.0, 118.0], [54.0, 110.0]]])
DEPTHS_PX = np.array([[4.0, 6.0, 2.5, 7.0]])
WIDTHS_PX = np.array([60.0, 80.4, 60.0, 80.4])


def painted(outline: np.ndarray) -> np.ndarray:
    canvas = np.zeros((170, 200), np.float32)
    paint_outline(canvas, outline)
    return canvas


def film(outline: np.ndarray, *, noise: float = 12.0) -> np.ndarray:
    """Return a film of a body on a background that gets brighter to one side."""
    grey = 60 + 50 * painted(outline) + np.linspace(0, 25, 200)
    return np.clip(grey + np.random.default_rng(3).normal(0, noise, grey.shape), 0, 255).astype(np.uint8)


def depths(outline: np.ndarray) -> np.ndarray:
    """Return how far the middle of each side lies inside of the line between its corners."""
    chords = (BODY + np.roll(BODY, -1, axis=1)) / 2
    middles = outline[:, SIDE_POINTS // 2 :: SIDE_POINTS]
    return ((middles - chords) * inward(BODY)).sum(axis=-1)[0]


def test_an_outline_begins_each_side_at_its_corner():
    outline = bowed(BODY, DEPTHS_PX)

    assert outline.shape == (1, POINTS, 2)
    assert outline[0, ::SIDE_POINTS] == pytest.approx(BODY[0])
    assert depths(outline) == pytest.approx(DEPTHS_PX[0], abs=1e-4)


def test_normals_point_to_the_middle_whichever_way_corners_run():
    turned = BODY[:, ::-1]

    assert (inward(BODY) * (BODY.mean(axis=1) - BODY)).sum(axis=-1).min() > 0
    assert (inward(turned) * (turned.mean(axis=1) - turned)).sum(axis=-1).min() > 0


def test_a_body_is_painted_with_its_area_less_two_thirds_of_each_sunken_side():
    lengths = np.linalg.norm(np.roll(BODY, -1, axis=1) - BODY, axis=-1)
    whole, sunken = painted(straight(BODY)[0]).sum(), painted(bowed(BODY, DEPTHS_PX)[0]).sum()

    assert whole == pytest.approx(80.4 * 60, rel=0.01)
    assert whole - sunken == pytest.approx(2 / 3 * (lengths * DEPTHS_PX).sum(), rel=0.05)


def test_a_share_of_an_outline_is_painted_about_its_middle():
    core = np.zeros((170, 200), np.float32)
    paint_outline(core, straight(BODY)[0], share=0.5)

    assert core.sum() == pytest.approx(painted(straight(BODY)[0]).sum() / 4, rel=0.02)


def test_outlines_beside_the_canvas_are_left_alone():
    assert not painted(straight(BODY + 300)[0]).any()


def test_waists_that_were_drawn_are_found_within_a_pixel():
    found = refined(film(bowed(BODY, DEPTHS_PX)[0]), BODY)

    assert depths(found) == pytest.approx(DEPTHS_PX[0], abs=1.0)


def test_a_body_with_straight_sides_keeps_them():
    assert depths(refined(film(straight(BODY)[0]), BODY)) == pytest.approx(0, abs=1.0)


def test_the_same_film_gives_the_same_outline():
    pixels = film(bowed(BODY, DEPTHS_PX)[0])

    assert np.array_equal(refined(pixels, BODY), refined(pixels, BODY))


def test_no_side_is_bent_where_the_film_shows_no_edge():
    flat = np.full((170, 200), 90, np.uint8)

    assert np.array_equal(refined(flat, BODY), straight(BODY))


def test_a_side_is_never_bent_farther_than_a_waist():
    far = bowed(BODY, MOST_BENT * 2.5 * WIDTHS_PX[None])

    assert (depths(refined(film(far[0]), BODY)) < MOST_BENT * WIDTHS_PX).all()
