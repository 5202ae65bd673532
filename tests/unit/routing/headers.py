"""Series with headers as text, for tests of routing: no file and no toolkit."""

from dicom_ai.domain.study import Element, FrameGeometry, Instance, Series
from dicom_ai.routing.keywords import vr_by_keyword

AXIAL = "1\\0\\0\\0\\1\\0"
SAGITTAL = "0\\1\\0\\0\\0\\-1"
CORONAL = "1\\0\\0\\0\\0\\-1"
MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
CR_CLASS = "1.2.840.10008.5.1.4.1.1.1"
DIRECTIONS = {
    AXIAL: ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    SAGITTAL: ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (-1.0, 0.0, 0.0)),
    CORONAL: ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
}
"""Orientation -> directions of row, column and slices."""


def header(**values: object) -> dict[str, Element]:
    """Return a header; a backslash separates values, None leaves the element out."""
    return {
        keyword: Element(vr_by_keyword()[keyword].split("/")[0], _values(str(value)))
        for keyword, value in values.items()
        if value is not None
    }


def _values(text: str) -> tuple[str, ...]:
    return tuple(text.split("\\")) if text else ()


def series(*, series_uid: str = "1.2.3", study_uid: str = "1.2", sop_class: str = MR_CLASS, **values: object) -> Series:
    """Return a series of one instance without geometry beyond its orientation."""
    return Series(study_uid, series_uid, (Instance("1.2.3.4", sop_class, "1.2.840.10008.1.2.1", header(**values)),))


def mr(description: str | None, orientation: str = AXIAL, **values: object) -> Series:
    """Return an MR series of one instance."""
    base = {"Modality": "MR", "ImageType": "ORIGINAL\\PRIMARY\\M\\NORM", "SeriesDescription": description}
    return series(**{**base, "ImageOrientationPatient": orientation, **values})


def radiograph(description: str | None, **values: object) -> Series:
    """Return a radiograph."""
    return series(sop_class=CR_CLASS, **{"Modality": "CR", "SeriesDescription": description, **values})


def stack(
    description: str,
    orientation: str = SAGITTAL,
    *,
    positions_mm: tuple[float, ...] = (0.0, 3.0, 6.0, 9.0),
    size: tuple[int, int] = (256, 256),
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    series_uid: str = "1.2.3",
    **values: object,
) -> Series:
    """Return an MR series of several instances with geometry; positions run along the slices, from the origin."""
    row, column, along = DIRECTIONS[orientation]
    one = mr(description, orientation, Rows=size[0], Columns=size[1], **values).instances[0]
    instances = []
    for index, position in enumerate(positions_mm):
        start = tuple(o + position * a for o, a in zip(origin_mm, along, strict=True))
        frame = FrameGeometry((start[0], start[1], start[2]), row, column, spacing_mm)
        instances.append(
            Instance(f"{series_uid}.{index}", one.sop_class_uid, one.transfer_syntax_uid, one.header, (frame,))
        )
    return Series("1.2", series_uid, tuple(instances))
