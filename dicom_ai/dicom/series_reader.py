"""A series, classic or Enhanced, as one volume sorted along the slice normal, or the reason why it is none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import dcmread

from dicom_ai.dicom.functional_groups import frame_elements, is_multiframe_with_groups
from dicom_ai.dicom.headers import PARSE_ERRORS
from dicom_ai.dicom.pixels import check_grey, read_frames
from dicom_ai.dicom.stack import DuplicatePositions, Stack, regular_stack
from dicom_ai.domain.image import SourceFrame, SourceImage, Volume
from dicom_ai.domain.study import Element, FrameGeometry, Header, Instance, Series
from dicom_ai.errors import RejectedInput, UnreadablePixels, UnsuitableGeometry

_DISTINGUISHING = (
    "EchoTime",
    "EffectiveEchoTime",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TriggerTime",
    "InversionTime",
    "DiffusionBValue",
    "StackID",
    "ImageType",
    "FrameType",
    "ComplexImageComponent",
    "AcquisitionNumber",
    "ContrastBolusAgent",
    "SeriesTime",
)
"""What makes several images of one place different from each other, the most telling first."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A frame before it is sorted: which instance, which of its frames, where."""

    instance: int
    frame: int
    geometry: FrameGeometry


NO_FRAME_OF_REFERENCE = "the images name no frame of reference, so there is no SEG of them"
"""A SEG must name one (PS3.3 A.51.3), and none is made up; the report has the outlines."""


def read_volume(series: Series) -> SourceImage:
    """Return the series as a volume.

    Raises UnsuitableGeometry where the slices do not form one regular stack, and UnreadablePixels where there are no
    pixels or they cannot be decoded; both say what was seen.
    """
    try:
        return _read_volume(series)
    except RejectedInput as error:
        raise type(error)(f"series …{series.series_uid[-8:]}: {error}") from None


def _read_volume(series: Series) -> SourceImage:
    for instance in series.instances:
        check_grey(instance)
    _check_same_size(series.instances)
    places = _places(series.instances)
    stack = _stack(series, places)
    order = [places[index] for index in stack.order]
    voxels = _voxels(series.instances, order)
    volume = Volume(voxels, stack.affine, _frame_of_reference(series.instances))
    frames = tuple(_source_frame(series.instances[place.instance], place.frame) for place in order)
    warnings = (*stack.warnings, *_compression_warning(series.header), *_frame_warning(volume))
    return SourceImage(series.study_uid, series.series_uid, volume, frames, warnings)


def _check_same_size(instances: Sequence[Instance]) -> None:
    sizes = sorted({(_integer(i.header, "Rows"), _integer(i.header, "Columns")) for i in instances})
    if len(sizes) > 1:
        seen = ", ".join(f"{rows} x {columns}" for rows, columns in sizes)
        raise UnsuitableGeometry(f"mixed image sizes: {seen}")


def _places(instances: Sequence[Instance]) -> list[_Place]:
    places = []
    for number, instance in enumerate(instances):
        stated = _integer(instance.header, "NumberOfFrames") or 1
        if not instance.frames:
            raise UnsuitableGeometry("an image has no position, orientation or pixel spacing in the patient")
        if len(instance.frames) != stated:
            raise UnsuitableGeometry(f"{stated} frames of which {len(instance.frames)} have a position")
        places += [_Place(number, frame, geometry) for frame, geometry in enumerate(instance.frames)]
    return places


def _stack(series: Series, places: Sequence[_Place]) -> Stack:
    try:
        return regular_stack([place.geometry for place in places])
    except UnsuitableGeometry as error:
        differences = _differences(series.instances)
        kind = UnsuitableGeometry if isinstance(error, DuplicatePositions) else type(error)
        raise kind(f"{error}; {differences}" if differences else str(error)) from None


def _voxels(instances: Sequence[Instance], order: Sequence[_Place]) -> np.ndarray:
    """Return the sorted frames, float32; each object is read once and let go."""
    header = instances[0].header
    shape = (len(order), _integer(header, "Rows"), _integer(header, "Columns"))
    voxels = np.empty(shape, np.float32)
    slices_of: dict[int, list[int]] = {}
    for index, place in enumerate(order):
        slices_of.setdefault(place.instance, []).append(index)
    for number, slices in slices_of.items():
        frames = read_frames(instances[number])
        if frames.shape[1:] != shape[1:] or len(frames) <= max(order[index].frame for index in slices):
            raise UnreadablePixels(f"pixels of shape {frames.shape} where frames of {shape[1:]} were expected")
        for index in slices:
            voxels[index] = frames[order[index].frame]
    return voxels


def _source_frame(instance: Instance, frame: int) -> SourceFrame:
    multiframe = "NumberOfFrames" in instance.header
    return SourceFrame(instance.sop_class_uid, instance.sop_instance_uid, frame + 1 if multiframe else None)


def _frame_of_reference(instances: Sequence[Instance]) -> str:
    uids = {element.text for i in instances if (element := i.header.get("FrameOfReferenceUID"))}
    if len(uids) > 1:
        raise UnsuitableGeometry(f"{len(uids)} frames of reference in one series")
    return next(iter(uids), "")


def _frame_warning(volume: Volume) -> tuple[str, ...]:
    return () if volume.frame_of_reference_uid else (NO_FRAME_OF_REFERENCE,)


def _compression_warning(header: Header) -> tuple[str, ...]:
    lossy = header.get("LossyImageCompression")
    return ("the source was compressed with loss",) if lossy and lossy.text == "01" else ()


def _differences(instances: Sequence[Instance]) -> str:
    """Say which attributes tell the images apart: "EchoTime 20, 40"."""
    headers = [header for instance in instances for header in _frame_headers(instance)]
    for keyword in _DISTINGUISHING:
        values = sorted({header[keyword].text for header in headers if keyword in header}, key=_by_number)
        if len(values) > 1:
            shown = ", ".join(values[:4]) + (f" and {len(values) - 4} more" if len(values) > 4 else "")
            return f"{keyword} is {shown}"
    return ""


def _frame_headers(instance: Instance) -> Iterable[Header]:
    """Return the header of each frame; a multi-frame object is read again for what differs between its frames."""
    if len(instance.frames) < 2 or instance.path is None:
        return [instance.header]
    try:
        dataset = dcmread(instance.path, force=True, stop_before_pixels=True)
        per_frame: list[dict[str, Element]] = frame_elements(dataset) if is_multiframe_with_groups(dataset) else []
    except (*PARSE_ERRORS, OSError):
        return [instance.header]
    return [{**instance.header, **elements} for elements in per_frame]


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return 0.0, text


def _integer(header: Header, keyword: str) -> int:
    element = header.get(keyword)
    try:
        return int(element.text) if element and element.values else 0
    except ValueError:
        return 0
