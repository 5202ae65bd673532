"""Images as PNG: thumbnails of series, and slices with what a stored SEG says drawn over them.

Everything drawn is read from the files that were received and sent; nothing is kept between but the last few stacks.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from dicom_ai.dicom.headers import read_instance
from dicom_ai.dicom.kept_series import read_series
from dicom_ai.dicom.pixels import read_frames
from dicom_ai.dicom.radiograph_reader import read_radiograph
from dicom_ai.dicom.seg_reader import ShownSegment, colors, labels_on, read_seg, segments_of
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.domain.image import Radiograph, SourceImage
from dicom_ai.imaging.overlay import png_bytes, render, square_pixels

THUMBNAIL = 144
"""Pixels of the longer side."""

REMEMBERED = 3
"""Stacks kept in memory with their labels: someone who scrolls asks for one slice after the other."""

_WINDOW_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class Stack:
    """A series with the segments of one SEG.

    frames, labels: (frames, rows, columns). spacing_mm: between rows, between columns. window: (black, white).
    """

    frames: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    spacing_mm: tuple[float, float]
    window: tuple[float, float]
    segments: tuple[ShownSegment, ...]

    @property
    def fullest(self) -> int:
        """The index of the frame on which most is labelled."""
        return int(np.count_nonzero(self.labels, axis=(1, 2)).argmax())

    @property
    def labelled(self) -> Sequence[int]:
        """The indices of the frames on which anything is labelled."""
        return [int(index) for index in np.flatnonzero(self.labels.any(axis=(1, 2)))]


def thumbnail(paths: Sequence[Path]) -> bytes:
    """Return the middle image of a series as a small PNG. Raises RejectedInput where it is no grey image."""
    frames = read_frames(read_instance(paths[len(paths) // 2]))
    frame = frames[len(frames) // 2]
    rows, columns = (np.linspace(0, side - 1, _shrunk(side, frame.shape)).round().astype(int) for side in frame.shape)
    small = frame[np.ix_(rows, columns)]
    return png_bytes(render(small, np.zeros(small.shape, np.uint8), {}))


def stack(study_uid: str, series_uid: str, paths: Sequence[Path], seg: Path, *, modality: str) -> Stack:
    """Return a series and what a SEG says of it. Raises RejectedInput."""
    return _stack(study_uid, series_uid, tuple(paths), seg, modality)


def picture(shown: Stack, index: int, segments: Collection[int]) -> bytes:
    """Return one frame as PNG, with the chosen segments drawn over it."""
    chosen = {number: color for number, color in colors(shown.segments).items() if number in segments}
    drawn = render(shown.frames[index], shown.labels[index], chosen, window=shown.window)
    return png_bytes(square_pixels(drawn, shown.spacing_mm))


@lru_cache(maxsize=REMEMBERED)
def _stack(study_uid: str, series_uid: str, paths: tuple[Path, ...], seg: Path, modality: str) -> Stack:
    series = read_series(study_uid, series_uid, paths)
    source: SourceImage = read_radiograph(series) if modality in ("CR", "DX") else read_volume(series)
    dataset = read_seg(seg)
    labels = labels_on(dataset, source).astype(np.uint8)
    if isinstance(source.image, Radiograph):
        frames, labels = source.image.pixels[None], labels[None]
        spacing = source.image.pixel_spacing_mm or (1.0, 1.0)
    else:
        frames = source.image.voxels
        spacing = float(source.image.spacing_mm[1]), float(source.image.spacing_mm[2])
    low, high = (float(value) for value in np.percentile(frames, _WINDOW_PERCENTILES))
    return Stack(frames, labels, spacing, (low, high), segments_of(dataset))


def _shrunk(side: int, shape: tuple[int, ...]) -> int:
    return max(1, round(side * min(1.0, THUMBNAIL / max(shape))))
