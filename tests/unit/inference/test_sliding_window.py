"""Windows over an image give what the network gives on the whole."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from dicom_ai.inference.sliding_window import Window, sliding_window


def pointwise(tile: np.ndarray) -> np.ndarray:
    """A network without neighbourhood: two outputs."""
    return np.concatenate([2.0 * tile + 1.0, -tile], axis=1)


@pytest.mark.parametrize("space", [(40, 50), (17, 30, 41), (8, 9, 10), (5, 40, 7)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_a_pointwise_network_is_reproduced_exactly(space, overlap):
    image = np.random.default_rng(0).normal(size=(1, *space)).astype(np.float32)

    result = sliding_window(image, Window((8, 16, 12)[: len(space)], overlap), pointwise)

    assert result.shape == (2, *space)
    assert result == pytest.approx(pointwise(image[None])[0], abs=1e-5)


def test_a_convolution_equals_the_full_forward_away_from_the_border():
    image = np.random.default_rng(1).normal(size=(1, 24, 40, 40)).astype(np.float32)

    def blur(tile: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(tile, (1, 1, 3, 3, 3), mode="constant")

    result = sliding_window(image, Window((16, 24, 24)), blur)

    # Windows see zeros beyond their faces where the whole image has neighbours; the weights there are near nothing.
    inner = (0, slice(2, -2), slice(2, -2), slice(2, -2))
    assert np.abs(result - blur(image[None])[0])[inner].max() < 0.02


def test_finished_planes_are_reduced_on_the_way():
    image = np.random.default_rng(2).normal(size=(1, 33, 20)).astype(np.float32)

    labels = sliding_window(
        image, Window((8, 8)), pointwise, finish=lambda scores: scores.argmax(axis=0)[None].astype(np.uint8)
    )

    assert labels.dtype == np.uint8
    assert np.array_equal(labels[0], pointwise(image[None])[0].argmax(axis=0))


@pytest.mark.parametrize(("padding", "seen"), [("constant", 0.0), ("edge", 3.0)])
def test_a_small_image_is_padded_and_cropped_again(padding, seen):
    image = np.full((1, 3, 4), 3.0, np.float32)
    tiles = []

    def keep(tile: np.ndarray) -> np.ndarray:
        tiles.append(tile)
        return tile

    result = sliding_window(image, Window((8, 8), padding=padding), keep)

    assert result.shape == (1, 3, 4)
    assert tiles[0].shape == (1, 1, 8, 8)
    assert tiles[0][0, 0, 0, 0] == seen


def test_progress_ends_at_one_and_never_falls():
    seen: list[float] = []

    sliding_window(np.zeros((1, 20, 20), np.float32), Window((8, 8)), lambda tile: tile, progress=seen.append)

    assert seen[-1] == pytest.approx(1.0)
    assert seen == sorted(seen)


def test_a_long_image_with_many_outputs_keeps_memory_small():
    image = np.zeros((1, 400, 32, 32), np.float32)

    def twenty(tile: np.ndarray) -> np.ndarray:
        return np.repeat(tile, 20, axis=1)

    tracemalloc.start()
    sliding_window(image, Window((16, 32, 32)), twenty, finish=lambda scores: scores.argmax(axis=0)[None].astype("u1"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 400 * 32 * 32 * 20 * 4 / 3  # all outputs at once would be 33 MB


def test_a_patch_with_other_axes_is_refused():
    with pytest.raises(ValueError, match="3 axes and a patch with 2"):
        sliding_window(np.zeros((1, 4, 4, 4), np.float32), Window((4, 4)), lambda tile: tile)
