"""Synthetic DICOM data sets for tests: classic MR, Enhanced MR, radiographs, screenshots. No patient anywhere.

Every builder returns data sets in memory; write() puts them into a folder. Any attribute can be set by keyword, and
removed with the value None.
"""

from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from dicom_ai.dicom.uids import new_uid

DIRECTIONS = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
}
"""Plane -> (direction of increasing column, direction of increasing row), LPS, as viewers show it."""


def oblique(plane: str, *, angle_deg: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the directions of a plane tilted about the patient's left-right axis (axial) or its head axis."""
    row, column = (np.array(vector) for vector in DIRECTIONS[plane])
    axis = row if plane == "axial" else np.array((0.0, 0.0, 1.0))
    angle = np.deg2rad(angle_deg)
    return tuple(_turned(row, axis, angle)), tuple(_turned(column, axis, angle))


def mr_series(
    voxels: np.ndarray | None = None,
    *,
    plane: str = "axial",
    directions: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    spacing_mm: tuple[float, float, float] = (4.0, 1.0, 1.0),
    origin_mm: tuple[float, float, float] = (-20.0, -30.0, 40.0),
    study_uid: str = "",
    series_uid: str = "",
    frame_of_reference_uid: str = "",
    signed: bool = False,
    bits_stored: int = 12,
    **attributes: object,
) -> list[Dataset]:
    """Return one classic MR data set per slice, slice 0 first.

    voxels: (slices, rows, columns), written unchanged; default a ramp of shape (5, 24, 32).
    spacing_mm: (between slices, between rows, between columns). Slices advance along row x column direction.
    """
    voxels = ramp((5, 24, 32)) if voxels is None else np.asarray(voxels)
    row, column = (np.array(vector) for vector in directions or DIRECTIONS[plane])
    normal = np.cross(row, column)
    series = _identity("MR", MRImageStorage, study_uid, series_uid)
    datasets = []
    for index, pixels in enumerate(voxels):
        ds = _dataset({**series, **_MR, "InstanceNumber": index + 1})
        ds.FrameOfReferenceUID = frame_of_reference_uid or _derived_uid(ds.StudyInstanceUID)
        ds.ImagePositionPatient = _ds(np.array(origin_mm) + index * spacing_mm[0] * normal)
        ds.ImageOrientationPatient = _ds([*row, *column])
        ds.PixelSpacing = _ds(spacing_mm[1:])
        ds.SliceThickness = ds.SpacingBetweenSlices = _ds([spacing_mm[0]])[0]
        _set_pixels(ds, pixels, bits_stored=bits_stored, signed=signed)
        datasets.append(_with(ds, attributes))
    return datasets


def enhanced_mr(
    voxels: np.ndarray | None = None,
    *,
    plane: str = "axial",
    directions: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    spacing_mm: tuple[float, float, float] = (4.0, 1.0, 1.0),
    origin_mm: tuple[float, float, float] = (-20.0, -30.0, 40.0),
    study_uid: str = "",
    series_uid: str = "",
    frame_order: tuple[int, ...] = (),
    echo_times_ms: tuple[float, ...] = (90.0,),
    rescale: tuple[float, float] = (1.0, 0.0),
    **attributes: object,
) -> Dataset:
    """Return one Enhanced MR object; slices as in mr_series, one run through them per echo time.

    frame_order: the slice that each frame of a run shows; default 0, 1, 2, ... rescale: (slope, intercept).
    """
    voxels = ramp((5, 24, 32)) if voxels is None else np.asarray(voxels)
    row, column = (np.array(vector) for vector in directions or DIRECTIONS[plane])
    normal = np.cross(row, column)
    order = frame_order or tuple(range(len(voxels)))
    ds = _dataset({**_identity("MR", EnhancedMRImageStorage, study_uid, series_uid), **_ENHANCED_MR})
    ds.FrameOfReferenceUID = _derived_uid(ds.StudyInstanceUID)
    ds.SharedFunctionalGroupsSequence = Sequence([_shared_groups(row, column, spacing_mm, rescale)])
    frames = [(echo, slice_index) for echo in range(len(echo_times_ms)) for slice_index in order]
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        _frame_groups(
            np.array(origin_mm) + slice_index * spacing_mm[0] * normal,
            index=(slice_index + 1, echo + 1),
            echo_time_ms=echo_times_ms[echo],
        )
        for echo, slice_index in frames
    )
    _set_pixels(ds, voxels[[slice_index for _, slice_index in frames]], bits_stored=12, signed=False)
    ds.NumberOfFrames = len(frames)
    return _with(ds, attributes)


def radiograph(
    pixels: np.ndarray | None = None,
    *,
    modality: str = "DX",
    study_uid: str = "",
    series_uid: str = "",
    bits_stored: int = 12,
    signed: bool = False,
    **attributes: object,
) -> Dataset:
    """Return a lateral cervical DX (or CR) image; default pixels a ramp of 160 x 128. Columns run to anterior."""
    pixels = ramp((1, 160, 128))[0] if pixels is None else np.asarray(pixels)
    sop_class = DigitalXRayImageStorageForPresentation if modality == "DX" else ComputedRadiographyImageStorage
    ds = _dataset({**_identity(modality, sop_class, study_uid, series_uid), **(_DX if modality == "DX" else _CR)})
    if modality == "DX":
        ds.AnatomicRegionSequence = Sequence([code_item("122494005", "SCT", "Cervical spine")])
        view = code_item("399173006", "SCT", "left lateral")
        view.ViewModifierCodeSequence = Sequence()
        ds.ViewCodeSequence = Sequence([view])
        ds.AcquisitionContextSequence = Sequence()
    _set_pixels(ds, pixels, bits_stored=bits_stored, signed=signed)
    return _with(ds, attributes)


def screenshot(*, study_uid: str = "", series_uid: str = "", **attributes: object) -> Dataset:
    """Return a colour secondary capture of 48 x 64."""
    ds = _dataset({**_identity("OT", SecondaryCaptureImageStorage, study_uid, series_uid), "ConversionType": "WSD"})
    ds.SeriesDescription = "Screen Save"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    _set_pixels(ds, np.zeros((48, 64, 3), np.uint8), bits_stored=8, signed=False)
    return _with(ds, attributes)


def ramp(shape: tuple[int, int, int]) -> np.ndarray:
    """Return voxels in which every value tells its place: 100 x slice + 10 x row + column, below 4096."""
    slices, rows, columns = np.indices(shape)
    return ((100 * slices + 10 * rows + columns) % 4096).astype(np.uint16)


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """Return one item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def write(datasets: list[Dataset] | Dataset, folder: Path) -> list[Path]:
    """Write data sets as <number>.dcm into a folder and return the paths in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    several = datasets if isinstance(datasets, list) else [datasets]
    start = len(list(folder.glob("*.dcm")))
    paths = []
    for index, ds in enumerate(several):
        path = folder / f"{start + index:04d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def reread(ds: Dataset, folder: Path) -> FileDataset:
    """Return the data set as a reader sees it after a trip through a file."""
    return dcmread(write(ds, folder)[0])


_PATIENT = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "Phantom^Synthetic",
    "PatientID": "SYN001",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "StudyDate": "20260110",
    "StudyTime": "101500",
    "SeriesDate": "20260110",
    "SeriesTime": "101600",
    "ContentDate": "20260110",
    "ContentTime": "101700",
    "AccessionNumber": "ACC0001",
    "StudyID": "1",
    "StudyDescription": "SPINE",
    "ReferringPhysicianName": "",
    "Manufacturer": "Synthetic",
    "ManufacturerModelName": "Phantom",
    "SoftwareVersions": "1",
    "DeviceSerialNumber": "1",
    "SeriesNumber": 2,
    "InstanceNumber": 1,
    "BodyPartExamined": "CSPINE",
}

_MR = {
    "SeriesDescription": "t2_tse_tra",
    "ProtocolName": "t2_tse_tra",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"],
    "ScanningSequence": "SE",
    "SequenceVariant": "SK",
    "ScanOptions": "",
    "MRAcquisitionType": "2D",
    "EchoTime": "90",
    "RepetitionTime": "3000",
    "EchoTrainLength": 12,
    "MagneticFieldStrength": "1.5",
    "PatientPosition": "HFS",
    "PositionReferenceIndicator": "",
}

_ENHANCED_MR = {
    "SeriesDescription": "t2_tse_tra",
    "ProtocolName": "t2_tse_tra",
    "ImageType": ["ORIGINAL", "PRIMARY", "SPINE", "NONE"],
    "PatientPosition": "HFS",
    "PositionReferenceIndicator": "",
    "PixelPresentation": "MONOCHROME",
    "VolumetricProperties": "VOLUME",
    "VolumeBasedCalculationTechnique": "NONE",
    "ComplexImageComponent": "MAGNITUDE",
    "AcquisitionContrast": "T2",
    "MRAcquisitionType": "2D",
    "MagneticFieldStrength": 1.5,
}

_DX = {
    "SeriesDescription": "C-SPINE LAT",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "PresentationIntentType": "FOR PRESENTATION",
    "ImagerPixelSpacing": ["0.4", "0.4"],
    "ViewPosition": "LL",
    "PatientOrientation": ["A", "F"],
    "ImageLaterality": "U",
    "PositionerType": "",
    "BurnedInAnnotation": "NO",
    "PixelIntensityRelationship": "LOG",
    "PixelIntensityRelationshipSign": -1,
    "RescaleIntercept": "0",
    "RescaleSlope": "1",
    "RescaleType": "US",
    "PresentationLUTShape": "IDENTITY",
    "LossyImageCompression": "00",
    "DetectorType": "DIRECT",
    "WindowCenter": "1000",
    "WindowWidth": "2000",
}

_CR = {
    "SeriesDescription": "C-SPINE LAT",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "ImagerPixelSpacing": ["0.4", "0.4"],
    "ViewPosition": "LL",
    "PatientOrientation": ["A", "F"],
}


def _identity(modality: str, sop_class: UID, study_uid: str, series_uid: str) -> dict[str, object]:
    return {
        **_PATIENT,
        "SOPClassUID": sop_class,
        "Modality": modality,
        "StudyInstanceUID": study_uid or new_uid(),
        "SeriesInstanceUID": series_uid or new_uid(),
    }


def _dataset(attributes: dict[str, object]) -> Dataset:
    ds = Dataset()
    ds.SOPInstanceUID = new_uid()
    _with(ds, attributes)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _with(ds: Dataset, attributes: dict[str, object]) -> Dataset:
    for keyword, value in attributes.items():
        if value is None:
            ds.pop(keyword, None)
        else:
            setattr(ds, keyword, value)
    return ds


def _set_pixels(ds: Dataset, pixels: np.ndarray, *, bits_stored: int, signed: bool) -> None:
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    allocated = 8 if bits_stored <= 8 else 16
    ds.Rows, ds.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, bits_stored, bits_stored - 1
    ds.PixelRepresentation = int(signed)
    data = pixels.astype(f"<{'i' if signed else 'u'}{allocated // 8}").tobytes()
    padded = data + b"\0" * (len(data) % 2)
    ds["PixelData"] = DataElement("PixelData", "OB" if allocated == 8 else "OW", padded)


def _shared_groups(
    row: np.ndarray, column: np.ndarray, spacing_mm: tuple[float, float, float], rescale: tuple[float, float]
) -> Dataset:
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence(
        [_item(PixelSpacing=_ds(spacing_mm[1:]), SliceThickness=_ds(spacing_mm[:1])[0])]
    )
    shared.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=_ds([*row, *column]))])
    shared.PixelValueTransformationSequence = Sequence(
        [_item(RescaleSlope=rescale[0], RescaleIntercept=rescale[1], RescaleType="US")]
    )
    shared.MRTimingAndRelatedParametersSequence = Sequence([_item(RepetitionTime=3000, FlipAngle=150)])
    shared.MRReceiveCoilSequence = Sequence([_item(ReceiveCoilName="HeadNeck")])
    region = code_item("122494005", "SCT", "Cervical spine")
    shared.FrameAnatomySequence = Sequence([_item(FrameLaterality="U", AnatomicRegionSequence=Sequence([region]))])
    shared.MRImageFrameTypeSequence = Sequence(
        [
            _item(
                FrameType=["ORIGINAL", "PRIMARY", "SPINE", "NONE"],
                PixelPresentation="MONOCHROME",
                VolumetricProperties="VOLUME",
                VolumeBasedCalculationTechnique="NONE",
                ComplexImageComponent="MAGNITUDE",
                AcquisitionContrast="T2",
            )
        ]
    )
    return shared


def _frame_groups(position_mm: np.ndarray, *, index: tuple[int, int], echo_time_ms: float) -> Dataset:
    groups = Dataset()
    groups.PlanePositionSequence = Sequence([_item(ImagePositionPatient=_ds(position_mm))])
    groups.MREchoSequence = Sequence([_item(EffectiveEchoTime=echo_time_ms)])
    groups.FrameContentSequence = Sequence(
        [_item(StackID="1", InStackPositionNumber=index[0], DimensionIndexValues=list(index))]
    )
    return groups


def _item(**attributes: object) -> Dataset:
    return _with(Dataset(), attributes)


def _ds(values: object) -> list[str]:
    return [f"{float(value):.10g}" for value in values]  # type: ignore[attr-defined]


def _turned(vector: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotate a vector about a unit axis (Rodrigues)."""
    return (
        vector * np.cos(angle) + np.cross(axis, vector) * np.sin(angle) + axis * (axis @ vector) * (1 - np.cos(angle))
    )


def _derived_uid(study_uid: str) -> str:
    """Return the frame of reference that all builders of one study share."""
    return f"{study_uid[:60]}.9"
