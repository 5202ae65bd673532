"""A CR or DX series as one projection image, or the reason why it is none."""

from dicom_ai.dicom.pixels import read_frames
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.domain.study import Header, Instance, Series
from dicom_ai.errors import RejectedInput, UnreadablePixels, UnsuitableImage

SMALLEST_SIDE = 64
"""Pixels; anything smaller is an icon or a test image, never a spine."""

_CALIBRATIONS = frozenset({"GEOMETRY", "FIDUCIAL"})
"""PixelSpacingCalibrationType (0028,0A02), PS3.3 10.7.1.2: PixelSpacing was corrected to the patient."""


def read_radiograph(series: Series) -> SourceImage:
    """Return the only image of the series, modality values, large values dense; no window is applied.

    Raises UnsuitableImage where the series has several images or a tiny one, UnreadablePixels where it has no grey
    pixels that can be decoded.
    """
    try:
        return _read_radiograph(series)
    except RejectedInput as error:
        raise type(error)(f"series …{series.series_uid[-8:]}: {error}") from None


def _read_radiograph(series: Series) -> SourceImage:
    if len(series.instances) != 1:
        raise UnsuitableImage(f"{len(series.instances)} images in one series where 1 was expected")
    [instance] = series.instances
    frames = read_frames(instance)
    if len(frames) != 1:
        raise UnsuitableImage(f"{len(frames)} frames where 1 was expected: a moving image")
    rows, columns = frames[0].shape
    if min(rows, columns) < SMALLEST_SIDE:
        raise UnsuitableImage(f"{rows} x {columns} pixels where at least {SMALLEST_SIDE} on each side are needed")
    if frames[0].min() == frames[0].max():
        raise UnreadablePixels(f"every pixel is {frames[0].min():g}: a blank image")
    image = Radiograph(frames[0], calibrated_spacing(instance.header), _orientation(instance.header))
    return SourceImage(series.study_uid, series.series_uid, image, (_frame(instance),), _warnings(instance.header))


def calibrated_spacing(header: Header) -> tuple[float, float] | None:
    """Return PixelSpacing where the header states that it holds at the patient, else None.

    Detector spacing (ImagerPixelSpacing, or PixelSpacing that only repeats it) is magnified by an unknown factor. A
    PixelSpacing without a calibration type that differs from ImagerPixelSpacing was corrected too, PS3.3 10.7.1.2.
    """
    spacing = _pair(header, "PixelSpacing")
    if spacing is None:
        return None
    calibration = header.get("PixelSpacingCalibrationType")
    if calibration and calibration.text in _CALIBRATIONS:
        return spacing
    imager = _pair(header, "ImagerPixelSpacing")
    if imager is not None and any(abs(a - b) > 1e-3 * b for a, b in zip(spacing, imager, strict=True)):
        return spacing
    return None


def _pair(header: Header, keyword: str) -> tuple[float, float] | None:
    element = header.get(keyword)
    if element is None or len(element.values) != 2:
        return None
    try:
        first, second = (float(value) for value in element.values)
    except ValueError:
        return None
    return (first, second) if min(first, second) > 0 else None


def _orientation(header: Header) -> tuple[str, ...]:
    element = header.get("PatientOrientation")
    return element.values if element and len(element.values) == 2 else ()


def _frame(instance: Instance) -> SourceFrame:
    return SourceFrame(instance.sop_class_uid, instance.sop_instance_uid)


def _warnings(header: Header) -> tuple[str, ...]:
    warnings = []
    if (lossy := header.get("LossyImageCompression")) and lossy.text == "01":
        warnings.append("the source was compressed with loss")
    if (burned := header.get("BurnedInAnnotation")) and burned.text == "YES":
        warnings.append("text is burned into the image")
    return tuple(warnings)
