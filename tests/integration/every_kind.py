"""One object of every kind the node can write, for the validators: which sources, which findings, which marks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from dicom_ai.dicom.document_writer import write_pdf, write_picture
from dicom_ai.dicom.ko_writer import RejectionReason, write_rejection_note
from dicom_ai.dicom.seg_writer import write_labelmap_seg, write_seg, write_soft_seg
from dicom_ai.dicom.source_headers import source_headers
from dicom_ai.dicom.sr_fallback import as_comprehensive_sr, fallback_identity
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.dicom.sr_writer import Evidence
from dicom_ai.domain.findings import Finding, Quality, Quantity, Structure
from dicom_ai.domain.prior import Acquisition, Change
from dicom_ai.domain.result import ResultKind
from dicom_ai.page.content import Page
from dicom_ai.page.pdf import pdf_of
from dicom_ai.page.picture import picture_of
from tests import builders
from tests.unit.dicom import results
from tests.unit.dicom.results import Read

REPLACED = "1.2.3.4"
"""SOP Instance UID of the report that sr-again replaces; it is not among the files."""

NAMES = {
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "+0900"),
    "greek": ("ISO_IR 126", "Παπαδοπούλου^Μαρία", "+0200"),
    "latin": ("ISO_IR 100", "Müller^Jörg^^Dr.", "-0330"),
}
"""Sources from elsewhere: character set, name of the patient, time zone. Each has a SEG, a report and a PDF."""

SEGS = (
    "seg",
    "seg-spine",
    *(f"seg-{origin}" for origin in NAMES),
    "seg-poor",
    "seg-enhanced",
    "seg-dx",
    "seg-cr",
    "seg-soft",
    "seg-labelmap",
)
MEASUREMENT_REPORTS = (
    "sr",
    "sr-failed",
    "sr-again",
    "sr-prior",
    *(f"sr-{origin}" for origin in NAMES),
    "sr-poor",
    "sr-enhanced",
    "sr-dx",
    "sr-cr",
    "sr-fallback",
)
REPORTS = (*MEASUREMENT_REPORTS, "sr-nothing")
DOCUMENTS = ("pdf", *(f"pdf-{origin}" for origin in NAMES), "picture", "note", "note-unsafe")
"""The report on one page in its two forms, and notes that reject results."""

KINDS = (*SEGS, *REPORTS, *DOCUMENTS)
RADIOGRAPHS = ("seg-dx", "seg-cr")
"""SEGs of an image without a plane."""


@dataclass(frozen=True)
class Written:
    """An object on disk and what it was made from. labels: those of a SEG, on the grid of the source."""

    path: Path
    source: Read
    labels: np.ndarray | None = None


def write_every_kind(folder: Path) -> dict[str, Written]:
    """Write every kind of object into a folder, and its sources into folders below."""
    sources = _sources(folder)
    return {**_segs(folder, sources), **_reports(folder, sources), **_documents(folder, sources)}


def _sources(folder: Path) -> dict[str, Read]:
    bare = {"PatientBirthDate": None, "StudyID": None, "AccessionNumber": None, "PatientSex": None}
    oblique = builders.oblique("axial", angle_deg=20)
    elsewhere = {
        origin: builders.mr_series(SpecificCharacterSet=charset, PatientName=name, TimezoneOffsetFromUTC=offset)
        for origin, (charset, name, offset) in NAMES.items()
    }
    return {
        "neck": results.read(builders.mr_series(), folder / "neck"),
        **{origin: results.read(series, folder / origin) for origin, series in elsewhere.items()},
        "poor": results.read(builders.mr_series(directions=oblique, **bare), folder / "poor"),
        "enhanced": results.read(builders.enhanced_mr(frame_order=(4, 0, 2, 1, 3)), folder / "enhanced"),
        "dx": results.read(builders.radiograph(FrameOfReferenceUID="1.2.3"), folder / "dx"),
        "cr": results.read(builders.radiograph(modality="CR"), folder / "cr"),
    }


def _segs(folder: Path, sources: dict[str, Read]) -> dict[str, Written]:
    spine = tuple(results.vertebra(level) for level in ("C2", "C3", "T13"))
    chosen: dict[str, tuple[str, tuple[Structure, ...]]] = {
        "seg": ("neck", ()),
        "seg-spine": ("neck", spine),
        **{f"seg-{origin}": (origin, ()) for origin in NAMES},
        "seg-poor": ("poor", ()),
        "seg-enhanced": ("enhanced", spine),
        "seg-dx": ("dx", spine),
        "seg-cr": ("cr", spine),
    }
    written = {}
    for name, (origin, structures) in chosen.items():
        image = sources[origin]
        seg = _seg(image, structures)
        written[name] = Written(
            _saved(seg, folder / f"{name}.dcm"), image, results.segmentation(image, *structures).labels
        )
    neck = sources["neck"]
    masks = results.segmentation(neck)
    soft = write_soft_seg(
        neck.series, neck.source, masks, identity=results.identity(ResultKind.SEG), model=results.MODEL
    )
    written["seg-soft"] = Written(_saved(soft, folder / "seg-soft.dcm"), neck, masks.labels)
    labels = write_labelmap_seg(
        neck.series, neck.source, masks, identity=results.identity(ResultKind.SEG), model=results.MODEL
    )
    written["seg-labelmap"] = Written(_saved(labels, folder / "seg-labelmap.dcm"), neck, masks.labels)
    return written


def _reports(folder: Path, sources: dict[str, Read]) -> dict[str, Written]:
    neck = sources["neck"]
    _, place = results.seg_of(neck, folder=folder)
    levels = [results.finding(neck, level, level) for level in ("C2", "C3", "T13", "S1")]
    position = results.finding(neck, "0-20 mm below top of cord seen", None)
    again = results.identity(ResultKind.SR, run=2, predecessor=(neck.series.study_uid, "1.2.3", REPLACED))
    whole = Evidence([neck.series], [neck.source], [place])
    reports = {
        "sr": results.report(neck, *levels, position, evidence=whole, notes=["a note"]),
        "sr-failed": results.report(neck, levels[0], _failed(neck), complete=False),
        "sr-nothing": results.report(neck, notes=["no cord found"]),
        "sr-again": results.report(neck, levels[1], identity=again),
    }
    origins = dict.fromkeys(reports, neck)
    for origin in (*NAMES, "poor", "enhanced", "dx", "cr"):
        image = sources[origin]
        finding = results.finding(image, "C3", "C3", structure=results.vertebra("C3"))
        reports[f"sr-{origin}"], origins[f"sr-{origin}"] = results.report(image, finding), image
    written = {name: Written(_saved(report, folder / f"{name}.dcm"), origins[name]) for name, report in reports.items()}
    written["sr-prior"] = Written(_saved(_with_prior(neck, folder), folder / "sr-prior.dcm"), neck)
    own = fallback_identity(results.identity(ResultKind.SR), None)
    fallback = as_comprehensive_sr(written["sr"].path, own)
    return {**written, "sr-fallback": Written(_saved(fallback, folder / "sr-fallback.dcm"), neck)}


def _with_prior(neck: Read, folder: Path) -> Dataset:
    """Return a report that is compared with the report of an earlier study, which lies in a folder of its own."""
    before = results.read(builders.mr_series(StudyDate="20250110"), folder / "before")
    earlier = results.report(before, results.finding(before, "C3", "C3"))
    _saved(earlier, folder / "before" / "sr.dcm")
    levels = [
        results.compared(neck, level, change) for level, change in zip(("C3", "C4", "C5", "C6"), Change, strict=True)
    ]
    evidence = Evidence(
        [neck.series],
        [neck.source],
        acquisitions={neck.series.series_uid: Acquisition("Synthetic Phantom 1", "T2w")},
        earlier=read_sr(earlier),
    )
    return results.report(neck, *levels, evidence=evidence, notes=["compared with the examination of 2025-01-10"])


def _documents(folder: Path, sources: dict[str, Read]) -> dict[str, Written]:
    neck = sources["neck"]
    page = Page("AI report of the spine", ("Phantom",), (), (), None, (), ("a note",), ("a model",))
    _, place = results.seg_of(neck, folder=folder)
    documents = {}
    for name, origin in (("pdf", "neck"), *((f"pdf-{origin}", origin) for origin in NAMES)):
        image = sources[origin]
        header = next(iter(source_headers(image.series).values()))
        named = results.identity(ResultKind.PDF)
        pdf = write_pdf(pdf_of(page), header, identity=named, models=[results.MODEL], sources=[image.source])
        documents[name] = Written(_saved(pdf, folder / f"{name}.dcm"), image)
    header = next(iter(source_headers(neck.series).values()))
    picture = write_picture(picture_of(page), header, identity=results.identity(ResultKind.SC), models=[results.MODEL])
    documents["picture"] = Written(_saved(picture, folder / "picture.dcm"), neck)
    for name, reason in (("note", RejectionReason.REPLACED), ("note-unsafe", RejectionReason.UNSAFE)):
        note = write_rejection_note([place], identity=results.identity(ResultKind.KO), reason=reason, text="run 2")
        documents[name] = Written(_saved(note, folder / f"{name}.dcm"), neck)
    return documents


def _seg(image: Read, structures: tuple[Structure, ...]) -> Dataset:
    return write_seg(
        image.series,
        image.source,
        results.segmentation(image, *structures),
        identity=results.identity(ResultKind.SEG),
        model=results.MODEL,
    )


def _failed(neck: Read) -> Finding:
    empty = (Quantity("csa_mean", None, "edge"),)
    return results.finding(neck, "C5", "C5", quantities=empty, quality=Quality.FAIL, contour=None)


def _saved(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path
