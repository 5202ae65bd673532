"""Pictures of a slice with its labels drawn over it, and a PNG writer on the standard library alone."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dicom_ai.imaging.palette import Rgb

_WINDOW_PERCENTILES = (1.0, 99.0)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB_8_BIT = bytes((8, 2, 0, 0, 0))


def render(
    image: np.ndarray,
    labels: np.ndarray,
    colors: Mapping[int, Rgb],
    *,
    window: tuple[float, float] | None = None,
    opacity: float = 0.35,
) -> np.ndarray:
    """Return uint8 (rows, columns, 3): the slice in grey, labels tinted, their inner border in full colour.

    image, labels: (rows, columns). colors: label value -> colour; labels without one are not drawn.
    window: (black, white) grey values; default the 1st and 99th percentile of the slice.
    """
    low, high = window or (float(p) for p in np.percentile(image, _WINDOW_PERCENTILES))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255
    picture = np.repeat(grey[..., None], 3, axis=2)
    border = _inner_border(labels)
    for label, color in colors.items():
        inside = labels == label
        picture[inside] = (1 - opacity) * picture[inside] + opacity * np.array(color)
        picture[inside & border] = color
    return np.round(picture).astype(np.uint8)


def square_pixels(picture: np.ndarray, spacing_mm: tuple[float, float]) -> np.ndarray:
    """Repeat rows or columns so that a pixel is as high as it is wide. spacing_mm: between rows, between columns."""
    height, width = spacing_mm
    rows = _stretched(picture.shape[0], height / min(height, width))
    columns = _stretched(picture.shape[1], width / min(height, width))
    return picture[rows][:, columns]


def png_bytes(picture: np.ndarray) -> bytes:
    """Encode uint8 (rows, columns, 3) as PNG."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture of shape {picture.shape} and type {picture.dtype} where uint8 RGB is needed")
    rows, columns, _ = picture.shape
    filtered = np.zeros((rows, 1 + 3 * columns), np.uint8)  # filter type 0 before each row
    filtered[:, 1:] = picture.reshape(rows, -1)
    header = struct.pack(">II", columns, rows) + _RGB_8_BIT
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes())), (b"IEND", b"")
    return _PNG_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def write_png(picture: np.ndarray, path: Path) -> None:
    """Write uint8 (rows, columns, 3) as a PNG file."""
    path.write_bytes(png_bytes(picture))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _inner_border(labels: np.ndarray) -> np.ndarray:
    """Return where a pixel has another label than one of its four neighbours."""
    border = np.zeros(labels.shape, bool)
    vertical = labels[1:] != labels[:-1]
    horizontal = labels[:, 1:] != labels[:, :-1]
    border[1:] |= vertical
    border[:-1] |= vertical
    border[:, 1:] |= horizontal
    border[:, :-1] |= horizontal
    return border


def _stretched(length: int, factor: float) -> np.ndarray:
    """Return the source index of each of length x factor places."""
    return np.minimum((np.arange(round(length * factor)) / factor).astype(int), length - 1)
