"""A year of work of a node, invented: rows for every table that grows, put in by bulk."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from dicom_ai.storage.tables import Table

SERIES, IMAGES = 3, 10
"""Series of a study, images of a series."""

STATES = ("held", "failed", "receiving", "analysing", "sending", "sent", "reported", "unwanted")
RARE = {"held": 5_000, "failed": 4_000, "receiving": 9_973, "analysing": 8_009, "sending": 7_001}
"""State -> one study in so many is in it. Of the others every seventh is unwanted, every eleventh was in shadow."""

RULES = ("cervical-cord", "spine-mr", "spine-xray", "lumbar")
YEAR_S = 365 * 86_400.0
BATCH = 2_000
PATIENTS = 40_000
LISTED = 25
FIRST_EVENT = 1000
SYLLABLES = [consonant + vowel for consonant in "bdklmnrst" for vowel in "aeo"]
NUMBERED = ("runs", "jobs", "results", "outbox", "audit", "holds", "instances", "judgements")
FACTS = {
    "SeriesDescription": ["LO", "t2_tse_sag_384"],
    "ProtocolName": ["LO", "t2_tse_sag_384"],
    "ImageType": ["CS", "ORIGINAL", "PRIMARY", "M", "ND"],
    "Manufacturer": ["LO", "SIEMENS"],
    "ManufacturerModelName": ["LO", "Skyra"],
    "PixelSpacing": ["DS", "0.57291", "0.57291"],
    "ImageOrientationPatient": ["DS", "0", "1", "0", "0", "0", "-1"],
    "BodyPartExamined": ["CS", "CSPINE"],
}

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Year:
    """So many studies, the last of which came at a time."""

    studies: int
    end_s: float

    def study_uid(self, n: int) -> str:
        return f"1.3.12.2.1107.5.2.43.166067.2026{n:012}"

    def at(self, n: int) -> float:
        return round(self.end_s - (self.studies - n) * YEAR_S / self.studies, 3)

    def day(self, n: int) -> str:
        return datetime.fromtimestamp(self.at(n), UTC).strftime("%Y-%m-%d")

    def patient_id(self, n: int) -> str:
        return f"P{n % PATIENTS:07}"

    def accession(self, n: int) -> str:
        return f"RAD26{n:07}"

    def state(self, n: int) -> str:
        rare = next((word for word, every in RARE.items() if n % every == every // 2), "")
        return rare or ("unwanted" if n % 7 == 0 else "reported" if n % 11 == 0 else "sent")

    def fill(self, engine: sa.Engine) -> None:
        """Put the year into an empty database."""
        with engine.begin() as connection:
            for first in range(0, self.studies, BATCH):
                for table, rows in self._rows(range(first, min(first + BATCH, self.studies))):
                    _insert(connection, table, rows)
            if engine.dialect.name == "postgresql":
                for table in NUMBERED:
                    connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', (SELECT max(id) + 1 FROM {table}))")
        if engine.dialect.name == "postgresql":  # as the server does by itself in time; no part of the node asks SQLite
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")

    def _rows(self, numbers: Sequence[int]) -> Iterator[tuple[str, Rows]]:
        """Yield rows by table, those that others point at first."""
        wanted = [n for n in numbers if self.state(n) not in ("unwanted", "receiving")]
        reported = [n for n in wanted if self.state(n) not in ("analysing",)]
        sent = [n for n in reported if self.state(n) not in ("reported",)]
        yield "studies", [self._study(n) for n in numbers]
        yield "series", [self._series(n, k) for n in numbers for k in range(SERIES)]
        yield "instances", [self._instance(n, k, i) for n in numbers for k in range(SERIES) for i in range(IMAGES)]
        yield "associations", [self._association(n) for n in numbers if n % 10 == 0]
        yield "association_studies", [self._association_study(n) for n in numbers]
        yield "decisions", [self._decision(n, k, rule) for n in numbers for k in range(SERIES) for rule in RULES]
        yield "runs", [self._run(n) for n in wanted]
        yield "jobs", [self._job(n, kind) for n in wanted for kind in ("analyse", "report")]
        yield "attempts", [self._attempt(n, kind) for n in reported for kind in ("analyse", "report")]
        yield "run_jobs", [{"run_id": n + 1, "job_id": 2 * n + 1, "requests": "[]", "included": True} for n in wanted]
        yield "results", [self._result(n, kind) for n in reported for kind in ("seg", "sr")]
        yield "outbox", [self._delivery(n, kind) for n in sent for kind in ("seg", "sr")]
        yield "confirmations", [self._confirmation(n, kind) for n in sent for kind in ("seg", "sr")]
        yield "holds", [self._hold(n) for n in reported if self.state(n) == "held"]
        yield "judgements", [self._judgement(n) for n in sent if n % 5 == 0]
        yield "audit", [self._event(n, k) for n in numbers for k in range(3)]
        lists = [n for n in numbers if n % 4 == 0 and n >= LISTED]
        yield "audit_studies", [self._listed(n, back) for n in lists for back in range(LISTED)]

    def _study(self, n: int) -> dict[str, Any]:
        patient = n % PATIENTS
        return {
            "study_uid": self.study_uid(n),
            "patient_id": self.patient_id(n),
            "patient_name": f"{_name(patient)}^{_name(patient * 7919)}",
            "accession": self.accession(n),
            "study_date": self.day(n).replace("-", ""),
            "first_received_at": self.at(n) - 200,
            "last_received_at": self.at(n),
        }

    def _series(self, n: int, k: int) -> dict[str, Any]:
        return {
            "study_uid": self.study_uid(n),
            "series_uid": f"{self.study_uid(n)}.{k}",
            "modality": "MR",
            "first_received_at": self.at(n) - 200,
            "last_received_at": self.at(n),
            "revision": IMAGES,
            "routed_revision": IMAGES - (self.state(n) == "receiving"),
            "facts": json.dumps(FACTS | {"SeriesNumber": ["IS", str(k)]}),
        }

    def _instance(self, n: int, k: int, i: int) -> dict[str, Any]:
        number = (n * SERIES + k) * IMAGES + i
        return {
            "id": number + 1,
            "study_uid": self.study_uid(n),
            "series_uid": f"{self.study_uid(n)}.{k}",
            "sop_instance_uid": f"{self.study_uid(n)}.{k}.{i}",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "sha256": f"{number * 2654435761 % 2**64:064x}",
            "size_bytes": 500_000,
            "path": f"received/{n // 1000}/{number}.dcm",
            "standing": "kept",
            "received_at": self.at(n) - 20 * (SERIES * IMAGES - i) / IMAGES,
            "calling_ae_title": "PACS",
            "called_ae_title": "DICOM_AI",
            "peer_address": "192.0.2.10",
            "association_id": f"a{n // 10 * 10}",
        }

    def _association(self, n: int) -> dict[str, Any]:
        return {
            "id": f"a{n}",
            "listener": "node",
            "calling_ae_title": "PACS",
            "called_ae_title": "DICOM_AI",
            "peer_address": "192.0.2.10",
            "opened_at": self.at(n),
            "beat_at": self.at(n),
            "closed_at": self.at(n),
            "released": True,
            "study_uid": self.study_uid(n),
            "images": SERIES * IMAGES * 10,
        }

    def _association_study(self, n: int) -> dict[str, Any]:
        images, last_at = SERIES * IMAGES, self.at(n)
        return {
            "association_id": f"a{n // 10 * 10}",
            "study_uid": self.study_uid(n),
            "images": images,
            "last_at": last_at,
        }

    def _decision(self, n: int, k: int, rule: str) -> dict[str, Any]:
        state = self.state(n)
        taken = state not in ("unwanted", "receiving") and k == 0 and rule == RULES[n % len(RULES)]
        return {
            "study_uid": self.study_uid(n),
            "series_uid": f"{self.study_uid(n)}.{k}",
            "rule": rule,
            "model": rule,
            "taken": taken,
            "shadow": state == "reported",
            "reasons": json.dumps(["Modality is MR", "the plane is sagittal", "the body part is not the neck"]),
            "rules_version": 1,
            "decided_at": self.at(n) + 60,
        }

    def _run(self, n: int) -> dict[str, Any]:
        at, done = self.at(n) + 60, self.state(n) != "analysing"
        return {
            "id": n + 1,
            "study_uid": self.study_uid(n),
            "number": 1,
            "state": "reported" if done else "collecting",
            "input_digest": f"{n:064x}",
            "reason": "first images",
            "created_at": at,
            "changed_at": at,
            "reported_at": at + 120 if done else None,
            "complete": True if done else None,
            "findings": json.dumps({"on": {"series": [{"series_uid": f"{self.study_uid(n)}.0", "text": "x" * 800}]}}),
        }

    def _job(self, n: int, kind: str) -> dict[str, Any]:
        at, state = self.at(n) + 60, self.state(n)
        word = "queued" if state == "analysing" else "failed" if state == "failed" and kind == "analyse" else "done"
        return {
            "id": self._job_id(n, kind),
            "kind": kind,
            "queue": "gpu" if kind == "analyse" else "io",
            "key": f"{self._job_id(n, kind):064x}",
            "run_id": n + 1,
            "study_uid": self.study_uid(n),
            "series_uid": f"{self.study_uid(n)}.0" if kind == "analyse" else "",
            "model": RULES[n % len(RULES)] if kind == "analyse" else "",
            "rule": RULES[n % len(RULES)] if kind == "analyse" else "",
            "input_digest": "",
            "priority": 0,
            "state": word,
            "reason": "out of memory" if word == "failed" else "",
            "attempts": 1,
            "lost": 0,
            "available_at": at,
            "created_at": at,
            "finished_at": at + 60 if word != "queued" else None,
        }

    def _job_id(self, n: int, kind: str) -> int:
        return 2 * n + (1 if kind == "analyse" else 2)

    def _attempt(self, n: int, kind: str) -> dict[str, Any]:
        at = self.at(n) + 62
        times = {"started_at": at, "ended_at": at + 8, "outcome": "done"}
        return {"job_id": self._job_id(n, kind), "number": 1, "owner": "worker", **times}

    def _result(self, n: int, kind: str) -> dict[str, Any]:
        number = self._job_id(n, "analyse" if kind == "seg" else "report")
        return {
            "id": number,
            "run_id": n + 1,
            "shadow": self.state(n) == "reported",
            "slot": kind if kind == "sr" else f"seg:{RULES[n % len(RULES)]}:{self.study_uid(n)}.0",
            "kind": kind,
            "study_uid": self.study_uid(n),
            "series_uid": f"2.25.{number * 7919}",
            "sop_instance_uid": f"2.25.{number * 104729}",
            "series_number": 9001,
            "created_at": "2026-01-01T00:00:00+00:00",
            "source_series_uid": f"{self.study_uid(n)}.0" if kind == "seg" else None,
            "path": f"results/{n // 1000}/{number}.dcm",
        }

    def _delivery(self, n: int, kind: str) -> dict[str, Any]:
        number, state = self._job_id(n, "analyse" if kind == "seg" else "report"), self.state(n)
        is_failed = state == "failed" and n % 2 == 0
        word = "failed" if is_failed else "waiting" if state in ("held", "sending") else "sent"
        return {
            "id": number,
            "result_id": number,
            "run_id": n + 1,
            "destination": "pacs",
            "state": word,
            "attempts": 1,
            "queued_at": self.at(n) + 130,
            "next_at": self.at(n) + 130,
            "sent_at": self.at(n) + 140 if word == "sent" else None,
            "last_error": "refused by the destination: 0xA700" if is_failed else "",
        }

    def _confirmation(self, n: int, kind: str) -> dict[str, Any]:
        return {
            "outbox_id": self._job_id(n, "analyse" if kind == "seg" else "report"),
            "state": "confirmed",
            "way": "c-find",
            "tries": 1,
            "next_at": self.at(n),
            "changed_at": self.at(n) + 200,
            "reason": "",
        }

    def _hold(self, n: int) -> dict[str, Any]:
        return {
            "id": n + 1,
            "kind": "finding",
            "study_uid": self.study_uid(n),
            "run_id": n + 1,
            "destination": "",
            "blocks": True,
            "reason": "the area at C4 is outside physiology",
            "detail": "{}",
            "since": self.at(n),
            "decision": "",
            "who": "",
            "why": "",
        }

    def _judgement(self, n: int) -> dict[str, Any]:
        return {
            "id": n + 1,
            "run_id": n + 1,
            "at": self.at(n) + 3600,
            "who": "reader",
            "verdict": ("accepted", "accepted", "corrected", "rejected")[n // 5 % 4],
            "reason": "",
            "levels": json.dumps(["C3", "C4"]),
            "scanner": f"SIEMENS Skyra MR{n % 6}",
        }

    def _event(self, n: int, k: int) -> dict[str, Any]:
        is_list = k == 2 and n % 4 == 0
        studies = " ".join(self.study_uid(n - back) for back in range(LISTED)) if is_list and n >= LISTED else ""
        return {
            "id": FIRST_EVENT + 3 * n + k,
            "at": self.at(n) + 3600 + k,
            "actor": f"reader {n % 30}",
            "action": "signed in" if k == 0 else "viewed",
            "subject": f"account reader {n % 30}"
            if k == 0
            else "list of studies"
            if is_list
            else f"study {self.study_uid(n)}",
            "detail": json.dumps({"studies": studies}) if studies else "{}",
        }

    def _listed(self, n: int, back: int) -> dict[str, Any]:
        return {"study_uid": self.study_uid(n - back), "audit_id": FIRST_EVENT + 3 * n + 2}


def _name(number: int) -> str:
    """Return one of some twenty thousand names, the same for the same number."""
    first, rest = divmod(number % 19_683, 27)
    second, third = divmod(first, 27)
    return (SYLLABLES[rest] + SYLLABLES[third] + SYLLABLES[second]).capitalize()


def _insert(connection: sa.Connection, name: str, rows: Rows) -> None:
    """Put rows into a table: by COPY where the server has it."""
    if not rows:
        return
    table = Table.metadata.tables[name]
    columns = ", ".join(rows[0])
    if connection.dialect.name == "postgresql":
        cursor = connection.connection.cursor()
        with cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(tuple(row.values()))
        return
    marks = ", ".join("?" * len(rows[0]))
    cursor = connection.connection.cursor()
    cursor.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", [tuple(row.values()) for row in rows])
