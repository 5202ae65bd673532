"""Times of the pages on a node with many studies: `python -m benchmarks.pages --studies 100000`.

Seeds a database with studies of 3 series and their images, a reported run and a sent result each, then asks every
list as a browser does and prints the median of a few answers. `--database-url` names a PostgreSQL database instead of
a SQLite file; it must be empty.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from starlette.testclient import TestClient

from dicom_ai import settings
from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.account import Role
from dicom_ai.storage import accounts
from dicom_ai.storage.tables import InstanceRow, OutboxRow, ResultRow, RunRow, SeriesRow, StudyRow
from dicom_ai.web import passwords
from dicom_ai.web.application import create

PASSWORD = "a sentence is a good password"
BATCH = 2_000
TIMES = 7
SERIES = 3
MIDDLE = "1.2.826.1.50"
PAGES = {
    "overview": "/",
    "studies": "/studies",
    "studies, patient": "/studies?patient=Doe%2042",
    "studies, rare patient": "/studies?patient=Nobody",
    "studies, accession": "/studies?accession=A77",
    "studies, date": "/studies?date_from=20260101&date_to=20260131",
    "studies, failed": "/studies?state=failed",
    "studies, sent": "/studies?state=sent",
    "studies, far down": "/studies?before=1000050.0_1.2.826.1.50",
    "study": f"/studies/{MIDDLE}",
    "queue": "/queue",
    "judgements": "/judgements",
    "metrics": "/metrics",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=30, help="images of a study")
    parser.add_argument("--database-url", default="")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        app = _node(Path(folder), wanted.database_url)
        started = time.monotonic()
        for first in range(0, wanted.studies, BATCH):
            _seed(app, range(first, min(first + BATCH, wanted.studies)), wanted.images)
        with app.database.engine.begin() as connection:
            connection.execute(sa.text("ANALYZE"))
        spent = time.monotonic() - started
        print(f"{wanted.studies} studies, {wanted.studies * wanted.images} images seeded in {spent:.0f} s")
        for name, milliseconds, status in _times(app):
            print(f"{name:<24} {milliseconds:8.1f} ms  {status}")
        app.close()


def _node(folder: Path, url: str) -> App:
    storage = settings.Storage(data_dir=folder, database_url=url, reserve_bytes=0)
    app = open_app(settings.Settings(storage=storage))
    prepare(app)
    with app.database.write() as session:
        accounts.add(session, "viewer", Role.VIEWER, hashed=passwords.hashed(PASSWORD), who="benchmark")
    return app


def _seed(app: App, numbers: range, images: int) -> None:
    with app.database.engine.begin() as connection:
        for table, rows in (
            (StudyRow, [_study(n) for n in numbers]),
            (SeriesRow, [_series(n, k) for n in numbers for k in range(SERIES)]),
            (InstanceRow, [_instance(n, k) for n in numbers for k in range(images)]),
            (RunRow, [_run(n) for n in numbers]),
            (ResultRow, [_result(n) for n in numbers]),
            (OutboxRow, [_delivery(n) for n in numbers]),
        ):
            connection.execute(sa.insert(table), rows)


def _study(n: int) -> dict:
    return {
        "study_uid": f"1.2.826.1.{n}",
        "patient_id": f"P{n % 40_000}",
        "patient_name": f"Doe^{n % 40_000}",
        "accession": f"A{n}",
        "study_date": f"2026{1 + n % 12:02}{1 + n % 28:02}",
        "first_received_at": 1e6 + n,
        "last_received_at": 1e6 + n,
    }


def _series(n: int, k: int) -> dict:
    return {
        "study_uid": f"1.2.826.1.{n}",
        "series_uid": f"1.2.826.2.{n}.{k}",
        "modality": "MR",
        "first_received_at": 1e6 + n,
        "last_received_at": 1e6 + n,
        "revision": 10,
        "routed_revision": 10,
        "facts": {"SeriesNumber": ["IS", str(k)], "SeriesDescription": ["LO", "t2 sag"]},
    }


def _instance(n: int, k: int) -> dict:
    return {
        "study_uid": f"1.2.826.1.{n}",
        "series_uid": f"1.2.826.2.{n}.{k % SERIES}",
        "sop_instance_uid": f"1.2.826.3.{n}.{k}",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "sha256": f"{n:032x}{k:032x}",
        "size_bytes": 500_000,
        "path": f"received/{n}/{k}",
        "standing": "kept",
        "received_at": 1e6 + n,
        "calling_ae_title": "PACS",
        "called_ae_title": "DICOM_AI",
        "peer_address": "127.0.0.1",
        "association_id": "",
    }


def _run(n: int) -> dict:
    at = 1e6 + n
    return {
        "id": n + 1,
        "study_uid": f"1.2.826.1.{n}",
        "number": 1,
        "state": "reported",
        "input_digest": "",
        "reason": "first images",
        "created_at": at,
        "changed_at": at,
        "reported_at": at,
        "complete": True,
    }


def _result(n: int) -> dict:
    return {
        "id": n + 1,
        "run_id": n + 1,
        "shadow": False,
        "slot": "sr",
        "kind": "sr",
        "study_uid": f"1.2.826.1.{n}",
        "series_uid": f"1.2.826.4.{n}",
        "sop_instance_uid": f"1.2.826.5.{n}",
        "series_number": 9001,
        "created_at": "2026-01-01T00:00:00+00:00",
        "path": f"results/{n}",
    }


def _delivery(n: int) -> dict:
    return {
        "id": n + 1,
        "result_id": n + 1,
        "run_id": n + 1,
        "destination": "pacs",
        "state": "failed" if n % 5_000 == 0 else "sent",
        "attempts": 1,
        "queued_at": 1e6 + n,
        "next_at": 1e6 + n,
        "sent_at": 1e6 + n,
        "last_error": "",
    }


def _times(app: App) -> Iterator[tuple[str, float, int]]:
    """Yield the median time of each page, and its status."""
    client = TestClient(create(app), client=("127.0.0.1", 50_000), base_url="http://127.0.0.1")
    client.post("/login", data={"name": "viewer", "password": PASSWORD})
    for name, path in PAGES.items():
        spent = []
        for _ in range(TIMES):
            started = time.perf_counter()
            answer = client.get(path)
            spent.append((time.perf_counter() - started) * 1000)
        yield name, statistics.median(spent), answer.status_code


if __name__ == "__main__":
    main()
