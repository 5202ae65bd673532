"""Frames and shared values of Enhanced multi-frame objects (PS3.3 C.7.6.16), as a classic header says it."""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from dicom_ai.dicom.header_text import header_elements
from dicom_ai.domain.study import Element, FrameGeometry

_SYNONYMS = {"EffectiveEchoTime": "EchoTime", "FrameType": "ImageType"}
"""Enhanced keyword -> the classic keyword that says the same, which rules are written with."""

_GEOMETRY_LENGTHS = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
_UNIT_TOLERANCE = 0.01


def is_multiframe_with_groups(dataset: Dataset) -> bool:
    """Tell whether geometry lies in functional groups rather than in the root."""
    return "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset


def frame_elements(dataset: Dataset) -> list[dict[str, Element]]:
    """Return for every frame the text elements of its functional groups, shared ones included."""
    shared = _group_elements(dataset, "SharedFunctionalGroupsSequence")
    common = shared[0] if shared else {}
    own = _group_elements(dataset, "PerFrameFunctionalGroupsSequence")
    return [{**common, **elements} for elements in own]


def common_elements(frames: list[dict[str, Element]]) -> dict[str, Element]:
    """Return the elements that every frame has with the same value, with classic synonyms beside them."""
    if not frames:
        return {}
    first, others = frames[0], frames[1:]
    common = {
        keyword: element for keyword, element in first.items() if all(frame.get(keyword) == element for frame in others)
    }
    for enhanced, classic in _SYNONYMS.items():
        if enhanced in common:
            common.setdefault(classic, common[enhanced])
    return common


def geometry_of(elements: Mapping[str, Element]) -> FrameGeometry | None:
    """Return the geometry that position, orientation and spacing describe, or None where one is absent or malformed."""
    numbers = {keyword: _numbers(elements.get(keyword), count) for keyword, count in _GEOMETRY_LENGTHS.items()}
    position, orientation = numbers["ImagePositionPatient"], numbers["ImageOrientationPatient"]
    spacing = numbers["PixelSpacing"]
    if not position or not orientation or not spacing or min(spacing) <= 0:
        return None
    row, column = _unit(orientation[:3]), _unit(orientation[3:])
    if row is None or column is None:
        return None
    return FrameGeometry(
        position_mm=(position[0], position[1], position[2]),
        row_direction=row,
        column_direction=column,
        pixel_spacing_mm=(spacing[0], spacing[1]),
    )


def _group_elements(dataset: Dataset, keyword: str) -> list[dict[str, Element]]:
    groups = dataset.get(keyword) or []
    return [dict(_macro_elements(group)) for group in groups]


def _macro_elements(group: Dataset) -> Iterator[tuple[str, Element]]:
    for macro in group:
        if macro.VR == "SQ" and not macro.tag.is_private and len(macro.value):
            yield from header_elements(macro.value[0]).items()


def _numbers(element: Element | None, count: int) -> list[float]:
    if element is None or len(element.values) != count:
        return []
    try:
        values = [float(value) for value in element.values]
    except ValueError:
        return []
    return values if all(abs(value) < 1e7 for value in values) else []


def _unit(vector: list[float]) -> tuple[float, float, float] | None:
    length = sum(value * value for value in vector) ** 0.5
    if abs(length - 1) > _UNIT_TOLERANCE:
        return None
    return vector[0] / length, vector[1] / length, vector[2] / length
