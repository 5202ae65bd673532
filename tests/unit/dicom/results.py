"""Results for the tests of this folder: a series of known shape, what a model could say of it, and identities."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.radiograph_reader import read_radiograph
from dicom_ai.dicom.seg_writer import write_seg
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.dicom.sr_writer import Evidence, write_sr
from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.findings import (
    Contour,
    Finding,
    Quality,
    Quantity,
    Segment,
    Segmentation,
    Structure,
    StructureKind,
)
from dicom_ai.domain.image import Radiograph, SourceImage
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.prior import Change
from dicom_ai.domain.result import ResultIdentity, ResultKind, ResultObject
from dicom_ai.domain.study import Series
from tests import builders

MODEL = ModelReference("spinal-cord", "1.0.0", "softseg", "ab" * 32)
CORD = Structure(StructureKind.SPINAL_CORD, "Spinal cord")
NOON = datetime(2026, 3, 29, 12, 0, 0, tzinfo=UTC)
SQUARE = np.array([[5.0, 5.0], [10.0, 5.0], [10.0, 9.0], [5.0, 9.0], [5.0, 5.0]])
NUMBERS = (
    Quantity("csa_mean", 67.4),
    Quantity("csa_sd", 2.1),
    Quantity("csa_min", 64.0),
    Quantity("csa_max", 71.3),
    Quantity("csa_slices", 12.0),
)


@dataclass(frozen=True)
class Read:
    """A series on disk and as it was read."""

    series: Series
    source: SourceImage
    folder: Path = field(repr=False)


def read(datasets: list[Dataset] | Dataset, folder: Path) -> Read:
    builders.write(datasets, folder)
    [series] = read_paths([folder]).series
    reader = read_radiograph if series.modality in ("CR", "DX") else read_volume
    return Read(series, reader(series), folder)


def identity(kind: ResultKind, *, run: int = 1, predecessor: tuple[str, str, str] | None = None) -> ResultIdentity:
    number = 9100 if kind is ResultKind.SEG else 9001
    return ResultIdentity(kind, new_uid(), new_uid(), number, run, NOON, predecessor)


def vertebra(level: str) -> Structure:
    return Structure(StructureKind.VERTEBRA, f"{level} vertebra", level)


def segments(*structures: Structure) -> tuple[Segment, ...]:
    return tuple(Segment(n, structure, structure.name, new_uid()) for n, structure in enumerate(structures, 1))


def labels_of(image: Read, count: int) -> np.ndarray:
    """Return labels 1..count, each a box of its own and of its own size, away from every border."""
    grid = image.source.image
    shape = grid.pixels.shape if isinstance(grid, Radiograph) else grid.shape
    labels = np.zeros(shape, np.uint8)
    for number in range(1, count + 1):
        box = (slice(2 * number, 2 * number + 1), slice(4, 6 + number))
        if labels.ndim == 3:
            labels[(slice(1, 4), *box)] = number
        else:
            labels[box] = number
    return labels


def segmentation(image: Read, *structures: Structure) -> Segmentation:
    chosen = structures or (CORD,)
    labels = labels_of(image, len(chosen))
    return Segmentation(labels, segments(*chosen), 0.9, soft=(labels == 1).astype(np.float32) * 0.75)


def finding(image: Read, site: str, level: str | None, **options: object) -> Finding:
    values: dict = {
        "structure": CORD,
        "site": site,
        "site_level": level,
        "series_uid": image.series.series_uid,
        "tracking_id": f"Spinal cord {site}",
        "tracking_uid": new_uid(),
        "quantities": NUMBERS,
        "quality": Quality.PASS,
        "notes": (),
        "contour": Contour(image.series.series_uid, min(2, len(image.source.frames) - 1), SQUARE),
    }
    return Finding(**{**values, **options})


def compared(image: Read, level: str, change: Change) -> Finding:
    """Return a finding of a level beside its prior: 67.4 mm2 now, 70.1 then."""
    numbers = (
        *NUMBERS,
        Quantity("csa_prior", 70.1),
        Quantity("csa_change", -2.7),
        Quantity("csa_change_percent", -3.9),
    )
    notes = ("warning: another scanner than in the prior",)
    return finding(image, level, level, quantities=numbers, change=change, notes=notes)


def seg_of(image: Read, *structures: Structure, folder: Path) -> tuple[Dataset, ResultObject]:
    """Write a SEG into a folder and return it with its place."""
    named = identity(ResultKind.SEG)
    seg = write_seg(image.series, image.source, segmentation(image, *structures), identity=named, model=MODEL)
    path = folder / f"{named.sop_instance_uid}.dcm"
    seg.save_as(path, enforce_file_format=True)
    return seg, ResultObject(named, str(seg.SOPClassUID), image.series.study_uid, image.series.series_uid, path)


def without_chance(seg: Dataset) -> Dataset:
    """Take out what is new in every SEG: the UID of its dimensions. It is changed in place."""
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = "1.2"
    return seg


def report(image: Read, *findings: Finding, **options: object) -> Dataset:
    evidence = options.pop("evidence", Evidence([image.series], [image.source]))
    settings: dict = {"identity": identity(ResultKind.SR), "models": [MODEL], "complete": True}
    return write_sr(findings, evidence, **{**settings, **options})
