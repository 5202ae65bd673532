"""What is measured on the series of a study once all of them are there.

To add a kind: a function here, and a row in MEASURERS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dicom_ai.analysis.levels import levels_for, with_levels_of_others
from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.domain.findings import Finding, VertebraLabel
from dicom_ai.domain.image import Volume
from dicom_ai.measurements.cord_findings import cord_findings
from dicom_ai.measurements.radiograph_findings import posture, radiograph_findings
from dicom_ai.measurements.segment_volume import segment_volumes
from dicom_ai.measurements.spinal_cord_csa import CordProfile, measure_cord
from dicom_ai.measurements.vertebrae import vertebra_findings


@dataclass(frozen=True, slots=True)
class Measured:
    """One analysis with its findings.

    profile: the cord slice by slice, where the model segments the cord. levels: the vertebrae that serve it.
    """

    analysis: SeriesAnalysis
    findings: tuple[Finding, ...] = field(repr=False)
    profile: CordProfile | None = field(default=None, repr=False)
    levels: tuple[VertebraLabel, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()


def measure_study(analyses: Sequence[SeriesAnalysis]) -> tuple[Measured, ...]:
    """Measure every series of a study; levels found in one series serve the others in its frame of reference."""
    named = with_levels_of_others(analyses)
    return tuple(_measured(analysis, named) for analysis in named)


def measure_cord_of(analysis: SeriesAnalysis, levels: Sequence[VertebraLabel]) -> Measured:
    """Measure the cord of a series, by level where levels are known, else by position."""
    segmentation, image = analysis.segmentation, analysis.source.image
    if segmentation.soft is None or not segmentation.segments or not isinstance(image, Volume):
        return Measured(analysis, ())
    profile = measure_cord(image.with_voxels(segmentation.soft))
    withheld = tuple(dict.fromkeys(reason for reason in (profile.csa_withheld, profile.ap_withheld) if reason))
    return Measured(analysis, cord_findings(analysis.source, segmentation, profile, levels), profile, notes=withheld)


def measure_radiograph_of(analysis: SeriesAnalysis, levels: Sequence[VertebraLabel]) -> Measured:
    """Measure the vertebral bodies of a lateral film; endplates only where the manifest says that they are drawn."""
    curved = "radiograph_endplates" in analysis.measurements
    notes = posture(analysis.series.header) if analysis.series else ()
    found = radiograph_findings(analysis.source, analysis.segmentation, biconcavity=curved, notes=notes)
    return Measured(analysis, found)


def measure_vertebrae_of(analysis: SeriesAnalysis, levels: Sequence[VertebraLabel]) -> Measured:
    """Measure the vertebrae and discs of a sagittal series."""
    return Measured(analysis, vertebra_findings(analysis.source, analysis.segmentation))


def measure_volumes_of(analysis: SeriesAnalysis, levels: Sequence[VertebraLabel]) -> Measured:
    """Measure the volume of every segment."""
    return Measured(analysis, segment_volumes(analysis.source, analysis.segmentation))


MEASURERS: dict[str, Callable[[SeriesAnalysis, Sequence[VertebraLabel]], Measured]] = {
    "spinal_cord_csa": measure_cord_of,
    "radiograph_vertebrae": measure_radiograph_of,
    "vertebrae": measure_vertebrae_of,
    "volume": measure_volumes_of,
}
"""Name in a model's manifest (measurements) -> what it measures."""


def _measured(analysis: SeriesAnalysis, analyses: Sequence[SeriesAnalysis]) -> Measured:
    levels = levels_for(analysis, analyses)
    # A model whose manifest names no measurement still says how much of each structure it found.
    names = [name for name in analysis.measurements if name in MEASURERS] or ["volume"]
    parts = [MEASURERS[name](analysis, levels.labels) for name in names]
    return Measured(
        analysis,
        findings=tuple(finding for part in parts for finding in part.findings),
        profile=next((part.profile for part in parts if part.profile), None),
        levels=levels.labels,
        notes=(*levels.notes, *(note for part in parts for note in part.notes)),
    )
