"""The newest earlier report of ours on a patient, from an archive: found by C-FIND or QIDO-RS, and fetched alone.

Archives are asked from the patient downwards: studies of an earlier date, newest first; in each the series of our
reports; in these the newest run. An archive may ignore a key or not return one: what counts is what the report itself
says of its patient. To add a kind of archive: a function as Open, and its row in ARCHIVES.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_ai.destinations import c_store, qido, wado
from dicom_ai.dicom.result_stamp import RESEARCH_MARK
from dicom_ai.dicom.sr_reader import Report, read_sr
from dicom_ai.dimse.find import Level, Match, Question, ask
from dicom_ai.dimse.offer import accepted
from dicom_ai.dimse.retrieve import Uids, c_get_report, c_move
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.prior import Examination, Person
from dicom_ai.errors import ConfigError, PermanentRefusal, RejectedInput

MOST_STUDIES = 20
"""Earlier studies that are looked into, the newest first."""

MOST_FETCHED = 3
"""Reports of a study that are fetched until one can be compared with."""

DESCRIPTION = "AI report"
CLASSES = (Comprehensive3DSRStorage, ComprehensiveSRStorage)
_NEEDED = {
    "C-FIND": str(StudyRootQueryRetrieveInformationModelFind),
    "C-GET": str(StudyRootQueryRetrieveInformationModelGet),
    "C-MOVE": str(StudyRootQueryRetrieveInformationModelMove),
}
_TIMEOUTS = {"c_store": ("connect_s", "acse_s", "dimse_s", "network_s"), "stow_rs": ("timeout_s",)}


class Retrieve(StrEnum):
    """How a report is fetched from an archive by DIMSE. auto: C-GET where it is offered, else C-MOVE."""

    AUTO = "auto"
    C_GET = "c_get"
    C_MOVE = "c_move"


@dataclass(frozen=True, slots=True)
class Means:
    """How what was asked for gets here.

    ae_title: the listener's, where C-MOVE sends to. arrived: SOP Instance UID -> the file that the listener has kept.
    limit_s: longest wait for any single answer.
    """

    retrieve: Retrieve
    ae_title: str
    arrived: Callable[[str], Path | None]
    limit_s: float


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that can be asked. find: level and keys -> matches. fetch: UIDs -> the object."""

    find: Callable[[Level, Mapping[str, str]], Sequence[Match]]
    fetch: Callable[[Uids], Dataset]


def newest_report(destination: Destination, examination: Examination, means: Means) -> Report | None:
    """Return the newest earlier report; None where there is none.

    Raises PeerUnavailable or PermanentRefusal where the archive does not tell, ConfigError for a destination that is
    none.
    """
    if destination.kind not in ARCHIVES:
        raise ConfigError(f"destination {destination.name}: a {destination.kind} cannot be asked for earlier reports")
    archive = ARCHIVES[destination.kind](_impatient(destination, means.limit_s), means)
    for study_uid in _earlier_studies(archive, examination):
        for uids in _reports(archive, study_uid)[:MOST_FETCHED]:
            report = _read(archive.fetch(uids))
            if report is not None and is_prior_of(report, examination):
                return report
    return None


def readiness(destination: Destination, retrieve: Retrieve) -> tuple[bool, str]:
    """Say whether an archive offers what earlier reports need. Raises DicomAiError where it is not reached."""
    if destination.kind == "stow_rs":
        qido.ask(destination, "studies", {"StudyInstanceUID": "0"})
        return True, "it answers QIDO-RS: earlier reports will be looked for there"
    peer, wait = c_store.remote_ae(destination), c_store.timeouts(destination)
    takes = accepted([*_NEEDED.values()], peer, timeouts=wait)
    offered = [name for name, uid in _NEEDED.items() if uid in takes]
    wanted = {Retrieve.C_GET: {"C-GET"}, Retrieve.C_MOVE: {"C-MOVE"}}.get(retrieve, {"C-GET", "C-MOVE"})
    ok = "C-FIND" in offered and bool(wanted & set(offered))
    return ok, f"for earlier reports it offers {', '.join(offered) or 'nothing'}"


def is_prior_of(report: Report, examination: Examination) -> bool:
    """Tell whether a report is of the same person and of an earlier examination."""
    return (
        report.person.is_surely(examination.person)
        and report.study_uid != examination.study_uid
        and "" < report.study_date < examination.study_date
    )


def _earlier_studies(archive: Archive, examination: Examination) -> Iterator[str]:
    keys = {
        "PatientID": examination.person.patient_id,
        "IssuerOfPatientID": "",
        "PatientBirthDate": examination.person.birth_date,
        "PatientSex": "",
        "StudyInstanceUID": "",
        "StudyDate": f"-{_day_before(examination.study_date)}",
        "ModalitiesInStudy": "SR",
    }
    found = [match for match in archive.find(Level.STUDY, keys) if _may_be(match, examination)]
    for match in sorted(found, key=lambda one: one["StudyDate"], reverse=True)[:MOST_STUDIES]:
        yield match["StudyInstanceUID"]


def _reports(archive: Archive, study_uid: str) -> list[Uids]:
    """Return the UIDs of our reports of a study, the newest run first."""
    keys = {"StudyInstanceUID": study_uid, "Modality": "SR", "SeriesInstanceUID": "", "SeriesDescription": ""}
    found: list[tuple[int, int, Uids]] = []
    for series in archive.find(Level.SERIES, keys):
        if not _may_be_ours(series["SeriesDescription"]):
            continue
        inside = {
            "StudyInstanceUID": study_uid,
            "SeriesInstanceUID": series["SeriesInstanceUID"],
            "SOPInstanceUID": "",
            "SOPClassUID": "",
            "InstanceNumber": "",
        }
        for image in archive.find(Level.IMAGE, inside):
            if image["SOPClassUID"] in ("", *CLASSES):
                run = int(image["InstanceNumber"]) if image["InstanceNumber"].isdigit() else 0
                newer = image["SOPClassUID"] == CLASSES[0]
                found.append((run, int(newer), (study_uid, series["SeriesInstanceUID"], image["SOPInstanceUID"])))
    return [uids for _, _, uids in sorted(found, reverse=True)]


def _may_be(match: Match, examination: Examination) -> bool:
    """Leave out what an archive returns beside what was asked; what it does not return, the report will say."""
    there = Person(match["PatientID"], match["IssuerOfPatientID"], match["PatientBirthDate"], match["PatientSex"])
    here = examination.person
    pairs = (
        (there.issuer, here.issuer),
        (there.birth_date.replace(".", ""), here.birth_date),
        (there.sex.upper(), here.sex),
    )
    return (
        there.patient_id == here.patient_id
        and all(not theirs or theirs == mine for theirs, mine in pairs)
        and match["StudyInstanceUID"] not in ("", examination.study_uid)
        and match["StudyDate"].replace(".", "") < examination.study_date
    )


def _may_be_ours(description: str) -> bool:
    return not description or (description.startswith(DESCRIPTION) and RESEARCH_MARK in description)


def _read(dataset: Dataset) -> Report | None:
    try:
        return read_sr(dataset)
    except RejectedInput:  # somebody else's, or damaged: an older one may do
        return None


def _day_before(date: str) -> str:
    return (datetime.strptime(date, "%Y%m%d") - timedelta(days=1)).strftime("%Y%m%d")


def _impatient(destination: Destination, limit_s: float) -> Destination:
    """Return the destination with no timeout longer than the limit."""
    timeouts = {name: limit_s for name in _TIMEOUTS[destination.kind]}
    kept = {name: destination.parameters[name] for name in timeouts if name in destination.parameters}
    shorter = {name: min(float(value), limit_s) for name, value in kept.items()}
    return replace(destination, parameters={**destination.parameters, **timeouts, **shorter})


def _by_dimse(destination: Destination, means: Means) -> Archive:
    peer, timeouts = c_store.remote_ae(destination), c_store.timeouts(destination)

    def find(level: Level, keys: Mapping[str, str]) -> Sequence[Match]:
        return ask(peer, [Question(level, keys)], timeouts=timeouts)[0]

    def by_c_get(uids: Uids) -> Dataset:
        return c_get_report(peer, uids, timeouts=timeouts)

    def by_c_move(uids: Uids) -> Dataset:
        c_move(peer, uids, to=means.ae_title, timeouts=timeouts)
        path = means.arrived(uids[2])
        if path is None:
            raise PermanentRefusal(f"{peer.called_ae_title}: C-MOVE succeeded, and nothing came to {means.ae_title}")
        return dcmread(path)

    def by_either(uids: Uids) -> Dataset:
        try:
            return by_c_get(uids)
        except PermanentRefusal:  # not offered, or it fails: some archives negotiate no role for these classes
            return by_c_move(uids)

    fetch = {Retrieve.AUTO: by_either, Retrieve.C_GET: by_c_get, Retrieve.C_MOVE: by_c_move}[means.retrieve]
    return Archive(find, fetch)


def _by_dicomweb(destination: Destination, means: Means) -> Archive:
    def find(level: Level, keys: Mapping[str, str]) -> Sequence[Match]:
        path, above = _PATHS[level]
        stated = {key: keys[key] for key in above}
        below = {key: value for key, value in keys.items() if key not in above}
        return [{**match, **stated} for match in qido.ask(destination, path.format(**keys), below)]

    def fetch(uids: Uids) -> Dataset:
        return wado.get_instance(destination, *uids)

    return Archive(find, fetch)


_PATHS: dict[Level, tuple[str, tuple[str, ...]]] = {
    Level.STUDY: ("studies", ()),
    Level.SERIES: ("studies/{StudyInstanceUID}/series", ("StudyInstanceUID",)),
    Level.IMAGE: (
        "studies/{StudyInstanceUID}/series/{SeriesInstanceUID}/instances",
        ("StudyInstanceUID", "SeriesInstanceUID"),
    ),
}
"""Level -> path of QIDO-RS, and the keys that stand in it."""


ARCHIVES: dict[str, Callable[[Destination, Means], Archive]] = {"c_store": _by_dimse, "stow_rs": _by_dicomweb}
"""Kind of destination -> how it is asked."""
