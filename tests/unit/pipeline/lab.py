"""A node without its processes: a database file, a file store, and one small series of a cord phantom."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dicom_ai.analysis import task as analysis_task
from dicom_ai.analysis.prior import FindEarlier
from dicom_ai.analysis.task import Task
from dicom_ai.dicom.headers import read_paths
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.job import Job, JobState
from dicom_ai.domain.received import ReceivedInstance, Recorded
from dicom_ai.domain.retries import Retries
from dicom_ai.domain.verdict import USUAL, Thresholds
from dicom_ai.errors import ModelError, WorkerLost
from dicom_ai.inference.predictor import Way
from dicom_ai.pipeline.analyse import Analyst
from dicom_ai.pipeline.report import Reporter
from dicom_ai.pipeline.route import Router
from dicom_ai.pipeline.send import Sender
from dicom_ai.storage import holdings, jobs, rules, runs, schema, studies
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore
from dicom_ai.storage.runs import Patience
from tests import builders
from tests.predictors import FULL, BrightCord, OneModel

STUDY, SERIES = "1.2.826.2", "1.2.826.2.1"
PATIENCE = Patience(study_quiet_s=600, association_stale_s=60, limit_s=3600)
RETRIES = Retries(first_s=30, longest_s=3600, maximum=3, give_up_s=1000)


@dataclass
class Lab:
    """Its parts, and a clock that stands still until it is turned. models: those that are installed.

    lost: why the process of the models is lost at every analysis. full: ways to run them for which there is no memory.
    """

    folder: Path
    at: float = 1_000_000.0
    models: tuple[str, ...] = ("cord",)
    max_study_age_days: float = 0
    thresholds: Thresholds = USUAL
    rule_rate_factor: float = 0
    predictor: BrightCord = field(default_factory=lambda: BrightCord("cord"))
    broken_disk: bool = False
    lost: str = ""
    full: tuple[Way, ...] = ()
    database_url: str = ""
    find_earlier: FindEarlier | None = None
    destinations: dict[str, Destination] = field(default_factory=lambda: {"pacs": Destination("pacs", "folder")})

    def __post_init__(self) -> None:
        url = self.database_url or f"sqlite:///{self.folder / 'node.db'}"
        self.database = Database(url, clock=lambda: self.at)
        schema.upgrade(self.database)
        self.files = FileStore(self.folder / "data")

    @property
    def router(self) -> Router:
        return Router(
            database=self.database,
            path=self.files.path,
            model_digest=self._digest,
            series_quiet_s=30,
            lease_s=60,
            max_study_age_days=self.max_study_age_days,
            rule_rate_factor=self.rule_rate_factor,
            rule_rate_least=2,
        )

    @property
    def analyst(self) -> Analyst:
        return Analyst(self.database, self.files.path, self._kept_in, self.do, RETRIES, maximum_lost=2)

    def do(self, task: Task) -> str:
        """Make an analysis in this process."""
        if self.lost:
            raise WorkerLost(self.lost)
        return analysis_task.do(task, OneModel(self.predictor, full=self.full))

    @property
    def reporter(self) -> Reporter:
        data_dir = self._kept_in.parent
        return Reporter(
            database=self.database,
            path=self.files.path,
            data_dir=data_dir,
            analyses=self.files.root / "analyses",
            destinations=self.destinations,
            retries=RETRIES,
            thresholds=self.thresholds,
            find_earlier=self.find_earlier,
        )

    def sender(self, destination: Destination) -> Sender:
        return Sender(self.database, self.files.path, {destination.name: destination}, RETRIES)

    def rule(self, *, state: str = "on", **more: object) -> None:
        """Save one rule that takes every MR."""
        rule = {"name": "cord", "model": "cord", "state": state, "all": [{"keyword": "Modality", "equals": "MR"}]}
        with self.database.write() as session:
            rules.save(session, {"rule": [{**rule, **more}]}, author="test", note="")

    def receive(
        self, *, images: int = 6, first: int = 0, series: str = SERIES, study_date: str = "", **attributes: object
    ) -> None:
        """Keep some images of a series in which a cord of 10 by 10 voxels stands."""
        voxels = np.zeros((12, 32, 32), np.uint16)
        voxels[:, 11:21, 11:21] = FULL
        datasets = builders.mr_series(voxels, study_uid=STUDY, series_uid=series, **attributes)[first : first + images]
        folder = self.folder / "in" / series / str(first)
        folder.mkdir(parents=True, exist_ok=True)
        (read,) = read_paths(builders.write(datasets, folder)).series
        for number, instance in enumerate(read.instances, first):
            assert instance.path is not None
            relative = f"received/{series}/{number}.dcm"
            self.files.save(instance.path.read_bytes(), relative)
            self.record(series, number, relative, study_date=study_date)

    def record(self, series: str, number: int, relative: str, *, study_date: str = "") -> None:
        """Note an image whose file is there, or is not."""
        with self.database.write() as session:
            recorded = studies.record_instance(
                session,
                ReceivedInstance(
                    study_uid=STUDY,
                    series_uid=series,
                    sop_instance_uid=f"{series}.{number}",
                    sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    sha256=f"{number:064x}",
                    size_bytes=1,
                    path=relative,
                    received_at=0.0,
                    modality="MR",
                    study_date=study_date,
                ),
            )
            if recorded is Recorded.DUPLICATE:
                holdings.mark_found(session, relative)

    def advance(self, seconds: float) -> None:
        self.at += seconds

    def claim(self, queue: str) -> Job:
        with self.database.write() as session:
            job = jobs.claim_next(session, queue, "worker", 60)
        assert job is not None
        return job

    def begin_reports(self) -> list[int]:
        with self.database.write() as session:
            return list(runs.begin_due_reports(session, PATIENCE))

    def states(self) -> list[JobState]:
        with self.database.read() as session:
            return [job.state for job in jobs.all_of(session, STUDY)]

    def look(self, question: Callable[..., Any], *arguments: object) -> Any:
        """Ask storage something."""
        with self.database.read() as session:
            return question(session, *arguments)

    @property
    def _kept_in(self) -> Path:
        if self.broken_disk:  # a file where a folder should be
            broken = self.folder / "broken"
            broken.touch()
            return broken / "analyses"
        return self.files.root / "analyses"

    def _digest(self, name: str) -> str:
        if name not in self.models:
            raise ModelError(f"no model {name!r}")
        return "digest of " + name
