"""What a run sent, read back from the stored objects: every result page shows these bytes, not what made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicom_ai.dicom.sr_reader import Report, read_sr
from dicom_ai.domain.browsing import SeriesSummary
from dicom_ai.domain.result import ResultKind, ResultObject
from dicom_ai.errors import RejectedInput
from dicom_ai.storage import browse, results, runs, studies
from dicom_ai.storage.runs import RunStatus
from dicom_ai.web import pictures
from dicom_ai.web.asker import Asker
from dicom_ai.web.pictures import Stack

_SCANNER = ("Manufacturer", "ManufacturerModelName", "StationName")


@dataclass(frozen=True, slots=True)
class Sent:
    """The objects of one run. entries: the run's series as findings.json has them, for the curve along the cord."""

    run: RunStatus
    objects: tuple[ResultObject, ...]
    series: Mapping[str, SeriesSummary] = field(repr=False)
    entries: Mapping[str, Mapping[str, Any]] = field(repr=False)
    scanner: str

    def of_kind(self, kind: ResultKind) -> tuple[ResultObject, ...]:
        """Return the objects of a kind."""
        return tuple(item for item in self.objects if item.identity.kind is kind)

    @property
    def report(self) -> Report | None:
        """The run's report; None where there is none, or its file is gone."""
        for item in self.of_kind(ResultKind.SR):
            if item.path.exists():
                return read_sr(item.path)
        return None


def sent_of(asker: Asker, study_uid: str, number: int) -> Sent | None:
    """Return what a run sent; None where there is no such run."""
    with asker.database.read() as session:
        run = next((item for item in runs.all_of(session, study_uid) if item.number == number), None)
        if run is None:
            return None
        found = results.all_of(session, study_uid, asker.app.files.root)
        findings = runs.findings(session, run.id)
        series = {item.series_uid: item for item in browse.series(session, study_uid)}
        objects = tuple(item for item in found if item.identity.run == number)
        sources = [item.source_series_uid for item in objects if item.source_series_uid] or list(series)
        header = browse.header(session, study_uid, sources[0]) if sources else {}
    words = (browse.header_text(header, keyword) for keyword in _SCANNER)
    return Sent(run, objects, series, _entries(findings), " ".join(word for word in words if word) or "unknown scanner")


def stack_of(asker: Asker, seg: ResultObject) -> Stack:
    """Return the images of a SEG with its segments. Raises RejectedInput where images or SEG are no longer kept."""
    with asker.database.read() as session:
        paths = studies.paths_of(session, seg.study_uid, seg.source_series_uid)
        series = {item.series_uid: item for item in browse.series(session, seg.study_uid)}[seg.source_series_uid]
    files = [asker.app.files.path(path) for path in paths]
    gone = [path for path in [*files, seg.path] if not path.exists()]
    if gone or not files:
        raise RejectedInput("the images, or the segmentation, are no longer kept (retention)")
    return pictures.stack(seg.study_uid, seg.source_series_uid, files, seg.path, modality=series.modality)


def present(objects: Sequence[ResultObject]) -> tuple[ResultObject, ...]:
    """Return those whose bytes are still there."""
    return tuple(item for item in objects if Path(item.path).exists())


def _entries(findings: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return series UID -> its entry, of the reported part, else of the shadow part; the one with a curve counts."""
    part = findings.get("on") or findings.get("shadow") or {}
    by_curve = sorted(part.get("series", []), key=lambda entry: bool(entry.get("slices")))
    return {str(entry["series_uid"]): entry for entry in by_curve}
