"""What an analysis says: segments, measured quantities, and findings that a report can carry."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from dicom_ai.domain.prior import Change
from dicom_ai.domain.verdict import Verdict


class StructureKind(StrEnum):
    """What a segment or finding is. dicom/codes.py gives each its coded concept."""

    SPINAL_CORD = "spinal_cord"
    SPINAL_CANAL = "spinal_canal"
    VERTEBRA = "vertebra"
    DISC = "disc"
    SACRUM = "sacrum"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Structure:
    """One anatomical structure.

    level: "C1".."L5", "T13", "L6", "S1" for vertebrae, "C2/C3" for discs; None where none is known or it has none.
    name: what people read: "Spinal cord", "C3 vertebra", "C2/C3 disc", "V1" (unlabelled, counted from above).
    code: (value, scheme, meaning) for kind OTHER, from the model's manifest; else None.
    """

    kind: StructureKind
    name: str
    level: str | None = None
    code: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a segmentation. number is its value in the label image, from 1, without gaps.

    tracking_uid names the finding across SEG and SR of one run (PS3.3 C.8.20.4).
    """

    number: int
    structure: Structure
    tracking_id: str
    tracking_uid: str


@dataclass(frozen=True, slots=True)
class VertebraLabel:
    """A vertebra found in an image, ordered from above.

    level: "C3", or None where no anchor allows one. name: "C3 vertebra", or "V1".
    anchor: what the level rests on ("counted from C2"), empty without a level. qualified: True when doubt is stated.
    centroid_mm, upper_mm, lower_mm: LPS points, shape (3,): body centre, middle of upper and of lower endplate.
    """

    level: str | None
    name: str
    segment_number: int
    anchor: str
    qualified: bool
    centroid_mm: np.ndarray = field(repr=False)
    upper_mm: np.ndarray = field(repr=False)
    lower_mm: np.ndarray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A prediction on the native grid of its source image.

    labels: uint8 or uint16, the shape of the source's voxels or pixels; 0 is background.
    soft: float32 in [0, 1], same shape: the share of each voxel that is cord (models that give one), else None.
    segments: one per value in labels; empty when nothing was found.
    score: how sure the model is that its target is in the image, 0..1.
    notes: plain sentences for the reader ("no cord found: highest score 0.12 where 0.5 is needed").
    vertebrae: those found, from above, by models that label them.
    """

    labels: np.ndarray = field(repr=False)
    segments: tuple[Segment, ...]
    score: float
    soft: np.ndarray | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    vertebrae: tuple[VertebraLabel, ...] = ()


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number of a finding. key names a row of measurements.table.MEASUREMENTS (name, unit, decimals).

    value: already rounded to the row's decimals; None where it could not be given, then reason says why.
    """

    key: str
    value: float | None
    reason: str = ""


class Quality(StrEnum):
    """The coded verdict on a finding."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Contour:
    """A closed outline on one source frame.

    slice_index: index of the frame in SourceImage.frames. points: (n, 2) float (column, row) in pixel coordinates of
        PS3.3 C.10.5 (the centre of the first pixel is 0.5, 0.5; SCOORD), first point repeated as last.
    locates_only: True when the outline says where the finding is but is not the measured area.
    """

    series_uid: str
    slice_index: int
    points: np.ndarray = field(repr=False)
    locates_only: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One group of the report: a structure, where, its numbers, its outline.

    site: what viewers show first: a level ("C3") with structure, or a position ("20-40 mm below top of cord").
    site_level: level code key where the site is a vertebral level, else None.
    change: of the mean CSA since an earlier report; None where there is none to compare with.
    """

    structure: Structure
    site: str
    site_level: str | None
    series_uid: str
    tracking_id: str
    tracking_uid: str
    quantities: tuple[Quantity, ...]
    quality: Quality
    notes: tuple[str, ...] = ()
    contour: Contour | None = None
    segment_number: int | None = None
    verdict: Verdict = Verdict.REPORT
    change: Change | None = None
