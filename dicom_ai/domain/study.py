"""Studies, series and instances as routing and reading see them: headers without a toolkit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Element:
    """One data element: its VR and its values as trimmed text, one string per value (PS3.5 6.4).

    An element with an empty value has no values; an absent element is not in the header at all.
    """

    vr: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """The values joined as DICOM writes them."""
        return "\\".join(self.values)


Header = Mapping[str, Element]
"""DICOM keyword -> element. Private elements and binary values are left out."""


@dataclass(frozen=True, slots=True)
class FrameGeometry:
    """Where a frame lies in the patient (PS3.3 C.7.6.2), LPS millimetres.

    row_direction: unit vector along increasing column index (first triplet of ImageOrientationPatient).
    column_direction: unit vector along increasing row index (second triplet).
    pixel_spacing_mm: (between rows, between columns), as PixelSpacing.
    """

    position_mm: tuple[float, float, float]
    row_direction: tuple[float, float, float]
    column_direction: tuple[float, float, float]
    pixel_spacing_mm: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Instance:
    """One SOP instance: identity, header, and the geometry of its frames where it has one.

    frames: one per frame in frame order; empty where the object has no patient geometry (radiographs).
    path: where the bytes lie; None for a header that came without its file.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    header: Header
    frames: tuple[FrameGeometry, ...] = ()
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """The instances of one series, in the order in which they were read."""

    study_uid: str
    series_uid: str
    instances: tuple[Instance, ...] = field(repr=False)

    @property
    def header(self) -> Header:
        """The header of the first instance, which stands for what the whole series shares."""
        return self.instances[0].header

    @property
    def modality(self) -> str:
        """Modality (0008,0060), or the empty string."""
        element = self.header.get("Modality")
        return element.text if element else ""
