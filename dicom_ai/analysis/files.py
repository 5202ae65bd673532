"""What `dicom-ai process` writes beside SEG and SR: pictures, tables, and NIfTI for researchers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from dicom_ai import __version__
from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.measure import Measured, measure_study
from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.analysis.study import StudyReport, study_entry
from dicom_ai.analysis.verdict import judge
from dicom_ai.dicom.nifti import write_nifti
from dicom_ai.domain.image import Volume
from dicom_ai.domain.output import SR_SLOT
from dicom_ai.domain.result import ResultKind, ResultObject
from dicom_ai.imaging.key_image import key_image
from dicom_ai.imaging.overlay import write_png
from dicom_ai.imaging.palette import color_of
from dicom_ai.measurements.csa_plot import csa_png
from dicom_ai.measurements.csv_export import TableOrigin, csv_text, rows_per_slice
from dicom_ai.measurements.labelled_slices import levels_along

Written = Mapping[tuple[str, str], tuple[Path, ...]]
"""(series UID, model name) -> the files that belong to it."""


def write_study_files(report: StudyReport, folder: Path) -> Written:
    """Write overlays and tables of a reported study; return all its files by series and model."""
    reports = [item.path for item in report.objects if item.identity.kind is ResultKind.SR]
    written: dict[tuple[str, str], tuple[Path, ...]] = {}
    for number, item in enumerate(report.measured, start=1):
        analysis = item.analysis
        segs = [one.path for one in report.objects if _belongs(one, analysis)]
        stem = folder / f"{analysis.model.name}-{number}"
        key = analysis.source.series_uid, analysis.model.name
        written[key] = (*segs, *reports, *_beside(item, stem, report.findings["created_at"]))
    return written


def write_nifti_results(
    analysis: SeriesAnalysis, out: Path, *, name: str, created_at: datetime
) -> tuple[list[Path], dict]:
    """Write the masks of a NIfTI input with its exact affine, overlay and table; return them and the study's entry."""
    judged = judge(measure_study([analysis]))
    (item,) = judged.measured
    stem = out / f"{name.removesuffix('.gz').removesuffix('.nii')}-{analysis.model.name}"
    image = analysis.source.image
    paths: list[Path] = []
    if isinstance(image, Volume):
        masks = {"seg": analysis.segmentation.labels, "soft": analysis.segmentation.soft}
        for what, mask in masks.items():
            if mask is not None:
                paths.append(Path(f"{stem}-{what}.nii.gz"))
                write_nifti(image.with_voxels(mask), paths[-1])
    identity = plan_identities([], run=1, created_at=created_at)[SR_SLOT]
    paths += _beside(item, stem, created_at.isoformat())
    return paths, study_entry(judged, [], [], identity, complete=True)


def _belongs(item: ResultObject, analysis: SeriesAnalysis) -> bool:
    return item.identity.slot.startswith(f"seg:{analysis.model.name}:{analysis.source.series_uid}")


def _beside(item: Measured, stem: Path, created_at: str) -> Sequence[Path]:
    """Write the overlay, and where the cord was measured its table and its plot."""
    analysis = item.analysis
    colors = {
        segment.number: color_of(segment.structure, number=segment.number) for segment in analysis.segmentation.segments
    }
    paths = [Path(f"{stem}-overlay.png")]
    write_png(key_image(analysis.source.image, analysis.segmentation.labels, colors), paths[0])
    if item.profile and item.profile.slices:
        origin = TableOrigin(created_at, f"dicom_ai {__version__}", analysis.source.series_uid)
        paths.append(Path(f"{stem}-csa.csv"))
        levels = levels_along(item.profile, item.levels)
        paths[-1].write_text(csv_text(rows_per_slice(item.profile, origin=origin, levels=levels)), encoding="utf-8")
    if item.curve:
        paths.append(Path(f"{stem}-csa.png"))
        paths[-1].write_bytes(csa_png(item.curve))
    return paths
