"""What is measured on the series of a study once all of them are there.

To add a kind: a function here, and a row in MEASURERS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dicom_ai.analysis.cord import CordSeries, cord_series, measured_cord
from dicom_ai.analysis.levels import levels_for, with_levels_of_others
from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.anatomy.labeling import Labelling
from dicom_ai.domain.findings import Finding, VertebraLabel
from dicom_ai.measurements import names
from dicom_ai.measurements.csa_plot import CsaCurve
from dicom_ai.measurements.radiograph_findings import posture, radiograph_findings
from dicom_ai.measurements.segment_volume import segment_volumes
from dicom_ai.measurements.spinal_cord_csa import CordProfile
from dicom_ai.measurements.vertebrae import vertebra_findings


@dataclass(frozen=True, slots=True)
class Measured:
    """One analysis with its findings.

    profile: the cord slice by slice, where the model segments the cord. levels: the vertebrae that serve it.
    curve: what is drawn of the profile.
    """

    analysis: SeriesAnalysis
    findings: tuple[Finding, ...] = field(repr=False)
    profile: CordProfile | None = field(default=None, repr=False)
    levels: tuple[VertebraLabel, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    curve: CsaCurve | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Study:
    """The analyses of a study, the levels that serve each of them, and the cords found in them."""

    analyses: tuple[SeriesAnalysis, ...]
    levels: tuple[Labelling, ...] = field(repr=False)
    cords: tuple[CordSeries | None, ...] = field(repr=False)


def measure_study(
    analyses: Sequence[SeriesAnalysis], levels_from: Sequence[SeriesAnalysis] = ()
) -> tuple[Measured, ...]:
    """Measure every series of a study; levels found in one series serve the others in its frame of reference.

    levels_from: further analyses that only lend their levels.
    """
    named = with_levels_of_others([*analyses, *levels_from])
    levels = tuple(levels_for(analysis, named) for analysis in named)
    cords = tuple(cord_series(analysis, found.labels) for analysis, found in zip(named, levels, strict=True))
    study = Study(named, levels, cords)
    return tuple(_measured(study, place) for place in range(len(analyses)))


def measure_cord_of(study: Study, place: int) -> Measured:
    """Measure the cord of a series, by level where levels are known, else by position."""
    analysis, cord = study.analyses[place], study.cords[place]
    if cord is None:
        return Measured(analysis, ())
    found = measured_cord(cord, [one for one in study.cords if one is not None], study.analyses)
    return Measured(analysis, found.findings, found.profile, notes=found.notes, curve=found.curve)


def measure_radiograph_of(study: Study, place: int) -> Measured:
    """Measure the vertebral bodies of a lateral film; endplates only where the manifest says that they are drawn."""
    analysis = study.analyses[place]
    curved = names.RADIOGRAPH_ENDPLATES in analysis.measurements
    notes = posture(analysis.series.header) if analysis.series else ()
    found = radiograph_findings(analysis.source, analysis.segmentation, endplates=curved, notes=notes)
    return Measured(analysis, found)


def measure_vertebrae_of(study: Study, place: int) -> Measured:
    """Measure the vertebrae and discs of a sagittal series."""
    analysis = study.analyses[place]
    return Measured(analysis, vertebra_findings(analysis.source, analysis.segmentation))


def measure_volumes_of(study: Study, place: int) -> Measured:
    """Measure the volume of every segment."""
    analysis = study.analyses[place]
    return Measured(analysis, segment_volumes(analysis.source, analysis.segmentation))


MEASURERS: dict[str, Callable[[Study, int], Measured]] = {
    names.SPINAL_CORD_CSA: measure_cord_of,
    names.RADIOGRAPH_VERTEBRAE: measure_radiograph_of,
    names.VERTEBRAE: measure_vertebrae_of,
    names.VOLUME: measure_volumes_of,
}
"""Name in a model's manifest (measurements) -> what it measures on the analysis at a place of the study."""


def _measured(study: Study, place: int) -> Measured:
    analysis, levels = study.analyses[place], study.levels[place]
    # A model whose manifest names no measurement still says how much of each structure it found.
    asked = [name for name in analysis.measurements if name in MEASURERS] or [names.VOLUME]
    parts = [MEASURERS[name](study, place) for name in asked]
    return Measured(
        analysis,
        findings=tuple(finding for part in parts for finding in part.findings),
        profile=next((part.profile for part in parts if part.profile), None),
        levels=levels.labels,
        curve=next((part.curve for part in parts if part.curve), None),
        notes=(*levels.notes, *(note for part in parts for note in part.notes)),
    )
