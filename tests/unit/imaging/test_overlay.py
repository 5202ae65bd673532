import io

import numpy as np
import pytest
from PIL import Image

from dicom_ai.imaging.overlay import png_bytes, render, square_pixels, write_png

RED = (255, 0, 0)


def test_unlabelled_pixels_stay_grey_between_the_window():
    image = np.array([[0.0, 50.0], [100.0, 200.0]])

    picture = render(image, np.zeros((2, 2), np.uint8), {1: RED}, window=(0, 100))

    assert picture[..., 0].tolist() == [[0, 128], [255, 255]]
    assert (picture[..., 0] == picture[..., 1]).all() and (picture[..., 1] == picture[..., 2]).all()


def test_a_label_is_tinted_inside_and_full_at_its_border():
    labels = np.zeros((5, 5), np.uint8)
    labels[1:4, 1:4] = 1

    picture = render(np.zeros((5, 5)), labels, {1: RED}, window=(0, 1), opacity=0.4)

    assert tuple(picture[1, 1]) == RED
    assert tuple(picture[2, 2]) == (102, 0, 0)
    assert tuple(picture[0, 0]) == (0, 0, 0)


def test_a_constant_image_does_not_divide_by_zero():
    assert render(np.full((3, 3), 7.0), np.zeros((3, 3), np.uint8), {}).shape == (3, 3, 3)


def test_a_png_is_read_by_others_as_it_was_written(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8)

    write_png(picture, tmp_path / "p.png")

    assert np.array_equal(np.array(Image.open(tmp_path / "p.png")), picture)
    assert Image.open(io.BytesIO(png_bytes(picture))).mode == "RGB"


def test_anything_but_rgb_bytes_is_refused():
    with pytest.raises(ValueError, match="uint8 RGB"):
        png_bytes(np.zeros((4, 4)))


def test_pixels_become_square_by_repeating_the_longer_side():
    tall = square_pixels(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), (3.0, 1.0))

    assert tall.shape == (6, 2, 3)
    assert (tall[0] == tall[2]).all()
    assert not (tall[2] == tall[3]).all()
