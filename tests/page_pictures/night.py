"""What the node does that night, by its own functions and at the night's own times, so that each run shows the same."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch
from uuid import UUID

from pydicom.dataset import Dataset

from dicom_ai.analysis import task as analysis_task
from dicom_ai.analysis.prior import Earlier
from dicom_ai.analysis.task import Task
from dicom_ai.app import App, home_of, open_app
from dicom_ai.destinations.trials import TrialKind
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.job import Job
from dicom_ai.domain.judgement import NewJudgement
from dicom_ai.domain.prior import Examination as Examined
from dicom_ai.domain.received import ReceivedInstance
from dicom_ai.domain.result import ResultKind
from dicom_ai.errors import WorkerLost
from dicom_ai.inference.manifest import read_manifest
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.pipeline import analyse, neighbours, report, route, send
from dicom_ai.pipeline.analyse import Analyst
from dicom_ai.pipeline.neighbours import Change, Live
from dicom_ai.pipeline.report import Reporter
from dicom_ai.pipeline.route import Router
from dicom_ai.pipeline.send import Sender
from dicom_ai.routing.shipped import read_rules
from dicom_ai.sections import Peer
from dicom_ai.storage import (
    accounts,
    associations,
    callers,
    jobs,
    judgements,
    results,
    rules,
    runs,
    schema,
    signs,
    studies,
)
from dicom_ai.storage.callers import Rejection
from dicom_ai.storage.database import Database, Session
from dicom_ai.web import passwords
from tests.page_pictures import hospital, scanner
from tests.page_pictures.archives import Archives
from tests.page_pictures.hospital import ADMINISTRATOR, PACS, Case, Examination
from tests.page_pictures.stand_ins import stand_in
from tests.predictors import OneModel
from tests.unit.web.browser import PASSWORD

LEASE_S = 60
REAL = (Case.REAL, Case.EARLIER)


@dataclass
class Night:
    """The node, and its clock, which stands still until it is turned. theirs: where results go."""

    folder: Path
    theirs: Archives = field(repr=False)
    at: float = 0.0
    examinations: dict[str, Examination] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        settings = hospital.node_settings(self.folder)
        database = Database(settings.database_url, clock=lambda: self.at)
        schema.upgrade(database)
        live = Live(database, home_of(settings))
        self.app: App = replace(open_app(settings), database=database, neighbours=live)

    def go_to(self, at: datetime) -> None:
        """Turn the clock."""
        self.at = at.timestamp()

    def write(self, change: Callable[..., Any], *arguments: object, **named: object) -> Any:
        """Change something in storage."""
        with self.app.database.write() as session:
            return change(session, *arguments, **named)

    def receive(self, examination: Examination, datasets: list[Dataset]) -> str:
        """Keep images as the listener does."""
        address = next(peer.addresses[0] for peer in hospital.PEERS if peer.ae_title == examination.station)
        study_uid = str(datasets[0].StudyInstanceUID)
        association = f"{examination.station}-{self.at}"
        self.examinations[study_uid] = examination
        self.write(callers.called, examination.station, address)
        self.write(
            associations.opened,
            association,
            listener="DICOM_AI:11112",
            calling_ae_title=examination.station,
            called_ae_title="DICOM_AI",
            peer_address=address,
        )
        for number, dataset in enumerate(datasets):
            self.at += 0.6
            path = f"received/{study_uid}/{dataset.SOPInstanceUID}.dcm"
            file = self.app.files.path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(file, enforce_file_format=True)
            received = _received(dataset, path, file.stat().st_size, number)
            received = replace(
                received, received_at=self.at, calling_ae_title=examination.station, association_id=association
            )
            self.write(studies.record_instance, received)
            self.write(associations.delivered, association, study_uid)
        if examination.case is not Case.COMING:
            self.write(associations.closed, association, released=True)
        return study_uid

    def work(self, examination: Examination) -> None:
        """Route, analyse, report and send what is there."""
        self.at += 95
        while route.run(self._router) is not None:
            pass
        if examination.case is Case.RADIOGRAPH:
            self._claim("gpu")
            return
        while job := self._claim("gpu"):
            self.at += 6 + job.id % 5
            analyse.run(self._analyst, job)
        self.at += self.app.patience.study_quiet_s
        self.write(lambda session: list(runs.begin_due_reports(session, self.app.patience)))
        while job := self._claim("io"):
            report.run(self._reporter, job)
        self.at += 4
        self.deliver()

    def deliver(self) -> None:
        """Send what is due."""
        while turn := send.claim(self._sender, "sender", LEASE_S):
            send.run(self._sender, turn)

    def _claim(self, queue: str) -> Job | None:
        found: Job | None = self.write(jobs.claim_next, queue, hospital.HOST, LEASE_S)
        return found

    @property
    def _router(self) -> Router:
        return Router(
            database=self.app.database,
            path=self.app.files.path,
            model_digest=self._digest,
            series_quiet_s=30,
            lease_s=LEASE_S,
        )

    @property
    def _analyst(self) -> Analyst:
        return Analyst(self.app.database, self.app.files.path, self.app.analyses, self._do, self.app.retries, 2)

    def _do(self, task: Task) -> str:
        examination = self.examinations[task.study_uid]
        if examination.case is Case.BREAKS and task.model == "spine-mr":
            raise WorkerLost("spine-mr ended its process (killed by signal 9)")
        if examination.case in REAL:
            return analysis_task.do(task, ModelStore(self.app.models_folder, device="cpu", threads=1))
        return analysis_task.do(task, OneModel(stand_in(read_manifest(self.app.models_folder / task.model))))

    def _digest(self, model: str) -> str:
        return ",".join(sorted(one.sha256 for one in read_manifest(self.app.models_folder / model).weights))

    @property
    def _reporter(self) -> Reporter:
        return Reporter(
            database=self.app.database,
            path=self.app.files.path,
            data_dir=self.app.files.root,
            analyses=self.app.analyses,
            destinations=self.app.destinations,
            retries=self.app.retries,
            thresholds=self.app.settings.findings.thresholds,
            find_earlier=self._earlier,
        )

    @property
    def _sender(self) -> Sender:
        return Sender(self.app.database, self.app.files.path, self.app.destinations, self.app.retries)

    def _earlier(self, examined: Examined) -> Earlier:
        for study_uid, examination in self.examinations.items():
            if examination.case is Case.EARLIER and examination.patient_id == examined.person.patient_id:
                if study_uid == examined.study_uid:
                    continue
                with self.app.database.read() as session:
                    made = results.all_of(session, study_uid, self.app.files.root)
                (path,) = (item.path for item in made if item.identity.kind is ResultKind.SR)
                return Earlier(read_sr(path))
        return Earlier(reason="the archive has no earlier report of this product on this patient")


def lived(folder: Path, theirs: Archives) -> Night:
    """Return the node as it is at the end of that night."""
    numbers = Random(1)
    with patch("dicom_ai.dicom.uids.uuid4", lambda: UUID(int=numbers.getrandbits(128), version=4)):
        _install_models(folder / "models")
        night = Night(folder, theirs)
        for at, happens in sorted([*_changes(night), *_examinations(night)], key=itemgetter(0)):
            night.go_to(at)
            happens()
        night.go_to(hospital.NIGHT)
        for kind in TrialKind:
            neighbours.try_destination(night.app.database, night.app.destinations[PACS], kind, who=ADMINISTRATOR)
    return night


def _install_models(folder: Path) -> None:
    """Install the models of the checkout, and a second version of one."""
    for name in ("spinal-cord", "spine-mr", "spine-xray"):
        shutil.copytree(default_models_folder() / name, folder / name)
    second = shutil.copytree(folder / "spinal-cord", folder / "spinal-cord-2") / "model.toml"
    text = second.read_text(encoding="utf-8").replace('name = "spinal-cord"', 'name = "spinal-cord-2"')
    second.write_text(text.replace('version = "0.1.0"', 'version = "0.2.0"'), encoding="utf-8")


Happening = tuple[datetime, Callable[[], object]]


def _examinations(night: Night) -> Iterator[Happening]:
    for examination in (hospital.EARLIER, *hospital.fortnight(), *hospital.night()):
        yield examination.at, partial(_examine, night, examination)


def _examine(night: Night, examination: Examination) -> None:
    datasets = scanner.images_of(examination, night.folder / "scanner" / examination.accession)
    study_uid = str(datasets[0].StudyInstanceUID)
    night.theirs.research_answers = examination.at < hospital.RESEARCH_DOWN_SINCE
    night.theirs.known[study_uid] = _as_the_archive_has_it(datasets[0], examination)
    if examination.case is Case.REFUSED:
        night.theirs.refused.add(study_uid)
    if examination.case is Case.TWO_PATIENTS:
        scanner.name(datasets[-1], scanner.of_another_patient(examination))
    night.receive(examination, datasets)
    if examination.case is not Case.COMING:
        night.work(examination)
    if examination.judged is not None:
        _judge(night, study_uid, examination)


def _as_the_archive_has_it(dataset: Dataset, examination: Examination) -> Dataset:
    there = Dataset()
    for keyword in ("PatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID"):
        setattr(there, keyword, getattr(dataset, keyword))
    if examination.case is Case.OTHER_THERE:
        there.PatientID = f"{int(examination.patient_id) + 1}"
    return there


def _judge(night: Night, study_uid: str, examination: Examination) -> None:
    assert examination.judged is not None
    verdict, reason, level = examination.judged
    night.at += 1500
    with night.app.database.read() as session:
        found = runs.all_of(session, study_uid)
    made_by = {"MR1": "Formula Scanners Phantom 3T", "MR2": "Formula Scanners Phantom 1.5T"}[examination.station]
    new = NewJudgement(verdict, reason, (level,) if level else (), made_by, "m.okoye")
    night.write(judgements.add, found[-1].id, new)


def _changes(night: Night) -> Iterator[Happening]:
    """Yield what people did to the node, from its first day on."""
    first = hospital.EARLIER.at - timedelta(days=2)
    yield first, lambda: _first_day(night)
    looked_at = "its results were looked at for a day"
    for name in ("cord", "spine"):
        at = first + timedelta(days=1)
        yield at, partial(night.write, rules.turn, name, "on", author=ADMINISTRATOR, why=looked_at)
    day = hospital.NIGHT - timedelta(days=20, hours=16)
    yield (
        day,
        lambda: night.write(rules.put, hospital.second_cord(), author=ADMINISTRATOR, why="the new version on MR2"),
    )
    yield day + timedelta(days=2), lambda: _add_workstation(night)
    yield (
        hospital.NIGHT - timedelta(days=3, hours=17),
        lambda: night.write(
            rules.turn, "spine-radiograph", "on", author=ADMINISTRATOR, why="agreed with the trauma unit"
        ),
    )
    for number, peer in enumerate(hospital.PEERS):
        yield hospital.NIGHT - timedelta(hours=5, minutes=41 * number), partial(night.write, _verified, peer)
    for minutes in range(50, 0, -2):
        yield hospital.NIGHT - timedelta(minutes=minutes), night.deliver
    yield hospital.NIGHT - timedelta(minutes=2), lambda: night.write(accounts.token_used, "pacs-monitor")
    yield hospital.NIGHT - timedelta(days=1, hours=1), lambda: night.write(accounts.token_used, "statistics")
    stranger = Rejection("MR7", "10.20.4.17", "calling AE title or address is not a configured peer")
    yield hospital.NIGHT - timedelta(hours=4), lambda: night.write(callers.rejected, stranger)


def _verified(session: Session, peer: Peer) -> None:
    callers.verified(session, peer.ae_title, peer.addresses[0])


def _first_day(night: Night) -> None:
    hashed = passwords.hashed(PASSWORD)
    for name, role in (*hospital.ACCOUNTS, hospital.LEFT):
        night.write(accounts.add, name, role, hashed=hashed, who=ADMINISTRATOR)
    night.write(accounts.set_disabled, hospital.LEFT[0], disabled=True, who=ADMINISTRATOR)
    for name, role, ends in hospital.TOKENS:
        ends_at = ends.timestamp() if ends else None
        night.write(accounts.add_token, name, role, secret=name, who=ADMINISTRATOR, ends_at=ends_at)
    seeded = read_rules().seeded_as("shadow")
    night.write(rules.save, seeded.as_toml(), author="dicom-ai", note="seeded in shadow")
    night.write(signs.note_devices, hospital.HOST, hospital.WORKERS, wanted="auto")


def _add_workstation(night: Night) -> None:
    change = Change(ADMINISTRATOR, "the neuroradiologists want the page of the report")
    night.write(neighbours.add_destination, night.app.neighbours.home, hospital.ADDED, change)
    night.app.neighbours.forget()
    with night.app.database.read() as session:
        now = rules.in_force(session).rule_set
    for name in ("cord", "spine"):
        rule, why = hospital.everywhere(now.named(name)), "also to the research archive and the workstation"
        night.write(rules.put, rule, instead_of=name, author=ADMINISTRATOR, why=why)


def _received(dataset: Dataset, path: str, size_bytes: int, number: int) -> ReceivedInstance:
    """Return what the listener would say of an image."""
    return ReceivedInstance(
        study_uid=str(dataset.StudyInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256=f"{number:064x}",
        size_bytes=size_bytes,
        path=path,
        received_at=0.0,
        patient_id=str(dataset.PatientID),
        birth_date=str(dataset.PatientBirthDate),
        accession=str(dataset.AccessionNumber),
        modality=str(dataset.Modality),
        study_date=str(dataset.StudyDate),
        patient_name=str(dataset.PatientName),
    )
