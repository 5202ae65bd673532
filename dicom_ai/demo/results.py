"""What came back, read as a stranger would read it: from the received objects alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset, dcmread

from dicom_ai.demo.compare import ComparedCsa, compare
from dicom_ai.dicom.sr_reader import Report, read_sr
from dicom_ai.domain.findings import Structure, StructureKind
from dicom_ai.domain.image import Radiograph, SourceImage
from dicom_ai.imaging.key_image import key_image
from dicom_ai.imaging.neck_phantom import NeckTruth
from dicom_ai.imaging.overlay import write_png
from dicom_ai.imaging.palette import color_of

# Frames without any segment are left out of the SEG; the overlay only needs to know where segments are.
_COMBINED: dict[str, Any] = {
    "combine_segments": True,
    "ignore_spatial_locations": True,
    "assert_missing_frames_are_empty": True,
}


@dataclass(frozen=True, slots=True)
class Results:
    """The received objects and the images they lie on."""

    segs: tuple[Dataset, ...] = field(repr=False)
    reports: tuple[Report, ...] = field(repr=False)
    sources: tuple[SourceImage, ...] = field(repr=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """The kinds of object that did not come back."""
        there = {"SEG": self.segs, "SR": self.reports}
        return tuple(kind for kind, objects in there.items() if not objects)

    def compared(self, truth: NeckTruth) -> tuple[ComparedCsa, ...]:
        """Return every CSA of the reports beside the truth."""
        return tuple(row for report in self.reports for row in compare(report, self.sources, truth))


def read_results(received: Sequence[Path], sources: Sequence[SourceImage]) -> Results:
    """Read the objects that the archive received."""
    datasets = [dcmread(path) for path in received]
    return Results(
        segs=tuple(item for item in datasets if item.Modality == "SEG"),
        reports=tuple(read_sr(item, sources) for item in datasets if item.Modality == "SR"),
        sources=tuple(sources),
    )


def write_overlays(results: Results, out: Path) -> tuple[Path, ...]:
    """Draw each received SEG on its images; return the pictures."""
    paths = []
    for number, dataset in enumerate(results.segs, start=1):
        source = _segmented(dataset, results.sources)
        if source is not None:
            paths.append(out / f"overlay-{number}.png")
            write_png(_overlay(dataset, source), paths[-1])
    return tuple(paths)


def _segmented(dataset: Dataset, sources: Sequence[SourceImage]) -> SourceImage | None:
    series_uid = dataset.ReferencedSeriesSequence[0].SeriesInstanceUID
    return next((source for source in sources if source.series_uid == series_uid), None)


def _overlay(dataset: Dataset, source: SourceImage) -> np.ndarray:
    seg = hd.seg.Segmentation.from_dataset(dataset)
    if source.frames[0].frame_number is None:
        uids = [frame.sop_instance_uid for frame in source.frames]
        labels = seg.get_pixels_by_source_instance(uids, **_COMBINED)
    else:
        numbers = [frame.frame_number or 1 for frame in source.frames]
        uid = source.frames[0].sop_instance_uid
        labels = seg.get_pixels_by_source_frame(uid, numbers, **_COMBINED)
    numbered = {int(item.SegmentNumber): _structure(item) for item in dataset.SegmentSequence}
    colors = {number: color_of(structure, number=number) for number, structure in numbered.items()}
    return key_image(source.image, labels[0] if isinstance(source.image, Radiograph) else labels, colors)


def _structure(item: Dataset) -> Structure:
    cord = item.SegmentLabel == "Spinal cord"
    return Structure(StructureKind.SPINAL_CORD if cord else StructureKind.OTHER, item.SegmentLabel)
