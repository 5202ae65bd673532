"""The one picture of a segmentation that people look at first."""

from collections.abc import Mapping

import numpy as np

from dicom_ai.domain.image import Radiograph, Volume
from dicom_ai.imaging.overlay import render, square_pixels
from dicom_ai.imaging.palette import Rgb

TILES = 4
"""How many slices of an axial stack are shown side by side: one alone says little of a cord."""

_ACROSS = 0.7
"""|cosine| between slice normal and the body's long axis from which slices cut the spine across."""


def key_image(
    image: Volume | Radiograph, labels: np.ndarray, colors: Mapping[int, Rgb], *, tiles_in_row: int = TILES
) -> np.ndarray:
    """Return uint8 (rows, columns, 3) with square pixels: the image with its labels tinted.

    Of a volume the slice with most labels, or TILES slices spread over the labelled ones where slices cut the spine
    across; the middle slice where nothing is labelled. labels: the shape of the image.
    """
    if isinstance(image, Radiograph):
        return square_pixels(render(image.pixels, labels, colors), image.pixel_spacing_mm or (1.0, 1.0))
    spacing = (float(image.spacing_mm[1]), float(image.spacing_mm[2]))
    tiles = [square_pixels(render(image.voxels[i], labels[i], colors), spacing) for i in _shown(image, labels)]
    rows = [tiles[first : first + tiles_in_row] for first in range(0, len(tiles), tiles_in_row)]
    rows[-1] += [np.zeros_like(tiles[0])] * (len(rows[0]) - len(rows[-1]))
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _shown(volume: Volume, labels: np.ndarray) -> list[int]:
    """Return the indices of the slices to show."""
    amounts = np.count_nonzero(labels, axis=(1, 2))
    labelled = np.flatnonzero(amounts)
    if labelled.size == 0:
        return [volume.shape[0] // 2]
    normal = np.cross(volume.directions[:, 1], volume.directions[:, 2])
    if abs(normal[2]) < _ACROSS:
        return [int(amounts.argmax())]
    places = np.linspace(0, labelled.size - 1, TILES + 2)[1:-1]
    return sorted({int(labelled[round(place)]) for place in places})
