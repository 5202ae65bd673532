"""A stored SEG laid on the images it was made from: what a viewer would show of the object itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.dicom.headers import PARSE_ERRORS
from dicom_ai.domain.image import Radiograph, SourceImage
from dicom_ai.errors import NotDicom

# Frames without any segment are left out of the SEG; the overlay only needs to know where segments are.
_COMBINED: dict[str, Any] = {
    "combine_segments": True,
    "ignore_spatial_locations": True,
    "assert_missing_frames_are_empty": True,
}
_WHITE_D50 = np.array([0.9642, 1.0, 0.8251])  # the white of DICOM's PCS values (PS3.3 C.10.7.1.1)
_XYZ_TO_RGB = np.array([[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]])
_GREY = (160, 160, 160)


@dataclass(frozen=True, slots=True)
class ShownSegment:
    """A segment as the object describes it. color: RGB, 0 to 255, of its recommended display value."""

    number: int
    label: str
    color: tuple[int, int, int]


def read_seg(path: Path) -> Dataset:
    """Return a stored SEG. Raises NotDicom."""
    try:
        return dcmread(path)
    except (*PARSE_ERRORS, OSError) as error:
        raise NotDicom(f"{path.name}: cannot be read ({type(error).__name__})") from None


def segments_of(dataset: Dataset) -> tuple[ShownSegment, ...]:
    """Return the segments in the order of their numbers."""
    return tuple(
        ShownSegment(int(item.SegmentNumber), str(item.SegmentLabel), _color(item)) for item in dataset.SegmentSequence
    )


def labels_on(dataset: Dataset, source: SourceImage) -> np.ndarray:
    """Return segment numbers on the grid of the images, shape as the source's pixels; 0 is background."""
    seg = hd.seg.Segmentation.from_dataset(dataset)
    if source.frames[0].frame_number is None:
        uids = [frame.sop_instance_uid for frame in source.frames]
        labels = seg.get_pixels_by_source_instance(uids, **_COMBINED)
    else:
        numbers = [frame.frame_number or 1 for frame in source.frames]
        labels = seg.get_pixels_by_source_frame(source.frames[0].sop_instance_uid, numbers, **_COMBINED)
    return labels[0] if isinstance(source.image, Radiograph) else labels


def colors(segments: tuple[ShownSegment, ...]) -> Mapping[int, tuple[int, int, int]]:
    """Return segment number -> colour."""
    return {segment.number: segment.color for segment in segments}


def _color(item: Dataset) -> tuple[int, int, int]:
    """Return the recommended colour; CIELab as PS3.3 C.10.7.1.1 scales it into 16 bits."""
    stated = item.get("RecommendedDisplayCIELabValue")
    if not stated:
        return _GREY
    light, a, b = (float(value) for value in stated)
    light, a, b = light / 65535 * 100, a / 65535 * 255 - 128, b / 65535 * 255 - 128
    middle = (light + 16) / 116
    ratios = np.array([middle + a / 500, middle, middle - b / 200])
    xyz = np.where(ratios > 6 / 29, ratios**3, 3 * (6 / 29) ** 2 * (ratios - 4 / 29)) * _WHITE_D50
    linear = np.clip(_XYZ_TO_RGB @ xyz, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (round(float(value) * 255) for value in srgb)
    return red, green, blue
