"""Films, their made-up corners, and the views drawn from them."""

import numpy as np
import pytest

from dicom_ai.training.data.xray_cases import (
    CORNERS,
    Film,
    lateral_film,
    read_packed,
    split,
    with_refined_outlines,
    write_films,
)
from dicom_ai.training.data.xray_outlines import straight
from dicom_ai.training.data.xray_synthesis import TARGETS, Bank, Bend, ViewConfig, draw_view, front_half, paint, targets

LEVELS = ("C2", "C3", "C4", "C5", "L5", "S1")


def marked() -> dict[str, dict[str, list[float]]]:
    """A straight column, bodies 40 deep and 30 high, 40 apart, facing right."""
    rows = {}
    for place, level in enumerate(LEVELS):
        top = 60.0 + 40 * place
        points = dict(zip(CORNERS, ([80, top], [120, top], [120, top + 30], [80, top + 30]), strict=True))
        hidden = {"C2": "top", "S1": "bottom"}.get(level, "none")
        rows[level] = {name: point for name, point in points.items() if not name.startswith(hidden)}
    return rows


def film(name: str = "lateral_01") -> Film:
    pixels = np.random.default_rng(0).integers(0, 255, (400, 200)).astype(np.uint8)
    return lateral_film(name, pixels, marked())


def test_the_upper_c2_and_the_lower_s1_are_made_up_beyond_their_endplates():
    c2, s1 = film().corners[0], film().corners[-1]

    assert c2[2:].tolist() == [[120, 90], [80, 90]]
    assert c2[:2, 1] == pytest.approx([57, 57])
    assert s1[:2].tolist() == [[80, 260], [120, 260]]
    assert s1[2:, 1] == pytest.approx([284, 284])


def test_packed_films_are_read_back(tmp_path):
    write_films(tmp_path / "films.npz", [with_refined_outlines(film())])

    [back] = read_packed(tmp_path / "films.npz")

    assert back.levels == LEVELS
    assert np.array_equal(back.corners, film().corners)
    assert np.array_equal(back.pixels, film().pixels)
    assert np.array_equal(back.outlines, with_refined_outlines(film()).outlines)


def test_made_up_bodies_keep_straight_sides():
    pixels = np.zeros((400, 200), np.uint8)
    pixels[:, 84:116] = 200
    waists = with_refined_outlines(lateral_film("lateral_01", pixels, marked())).outlines
    straight_sides = straight(film().corners)

    assert np.array_equal(waists[[0, -1]], straight_sides[[0, -1]])
    assert (waists[1:-1] != straight_sides[1:-1]).any(axis=(1, 2)).all()


def test_a_film_without_a_spine_has_no_outlines():
    assert not len(with_refined_outlines(Film("ap_01", "", film().pixels)).outlines)


def test_films_are_split_by_film_and_never_shared():
    names = ["lateral_01", "lateral_04", "ap_01", "ap_02"]

    trained, held = split([Film(name, "", np.zeros((4, 4), np.uint8)) for name in names])

    assert [one.name for one in trained] == ["lateral_01", "ap_01"]
    assert [one.name for one in held] == ["lateral_04", "ap_02"]


def test_a_square_is_painted_with_its_area():
    canvas = np.zeros((40, 40), np.float32)
    square = np.array([[10, 10], [30, 10], [30, 20], [10, 20]], float)
    paint(canvas, square)

    assert canvas.sum() == pytest.approx(200, rel=0.02)
    paint(canvas, square[::-1])
    assert canvas.sum() == pytest.approx(200, rel=0.02)


def test_the_front_half_lies_in_front():
    half = front_half(film().corners[1])

    assert half[:, 0].min() == 100
    assert half[:, 0].max() == 120


def test_a_view_has_its_number_for_seed():
    bank = Bank.of([film()])
    first, again, other = (draw_view(bank, ViewConfig(), seed=1, number=n) for n in (3, 3, 4))

    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)


def test_targets_are_shares_and_cores_lie_in_bodies():
    bank = Bank.of([film()])
    for number in range(8):
        drawn = targets(draw_view(bank, ViewConfig(), seed=2, number=number))
        body, core = drawn[TARGETS.index("body")], drawn[TARGETS.index("core")]
        assert drawn.min() >= 0 and drawn.max() <= 1
        assert core.sum() <= body.sum()


def test_a_film_without_a_lateral_spine_has_empty_targets():
    bank = Bank.of([film(), Film("ap_01", "", film().pixels)])

    view = draw_view(bank, ViewConfig(empty=1.0), seed=0, number=0)

    assert not targets(view).any()


def test_a_bend_is_undone_for_the_corners():
    bend = Bend.drawn(288, np.random.default_rng(5))
    points = np.random.default_rng(6).uniform(0, 288, (50, 2))

    assert np.abs(bend.moved(points) - points).max() > 1
    assert bend.undone(bend.moved(points)) == pytest.approx(points, abs=1e-3)


def test_corners_stay_on_their_bodies_where_a_column_is_bent():
    pixels = np.zeros((400, 200), np.uint8)
    bright = lateral_film("lateral_01", pixels, marked())
    for corners in bright.corners[1:-1].astype(int):
        pixels[corners[0, 1] : corners[2, 1], corners[0, 0] : corners[1, 0]] = 255
    bank = Bank.of([bright])
    for number in range(6):
        view = draw_view(bank, ViewConfig(bent=1.0, anywhere=0.0), seed=1, number=number)
        body = targets(view)[TARGETS.index("body")] > 0.99
        away = targets(view)[: TARGETS.index("front")].max(axis=0) == 0
        assert np.median(view.image[0][body]) > np.median(view.image[0][away])
