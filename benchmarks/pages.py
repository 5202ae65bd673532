"""Times of every page on a node with many studies: `python -m benchmarks.pages --studies 100000 [--postgres]`.

Fills a database as a year of work would, of 3 series and 30 images a study, then asks every page as a browser does.
Of some answers it prints the best and the median time, and what this process and the server's together computed: on a
busy machine the rest is waiting for a core. `--postgres` runs a PostgreSQL server on loopback, instead of SQLite.
`--slow 50` also prints statements that took longer than 50 ms. `--folder DIR` keeps what was filled for another run.
"""

import argparse
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa
from starlette.testclient import TestClient

from benchmarks.year import IMAGES, SERIES, STATES, Year
from dicom_ai import settings
from dicom_ai.app import App, open_app, prepare
from dicom_ai.domain.account import Role
from dicom_ai.storage import accounts
from dicom_ai.storage.tables import StudyRow
from dicom_ai.web import passwords
from dicom_ai.web.application import create
from dicom_ai.web.routes import URLS

PASSWORD = "a sentence is a good password"
TIMES = 9
LEFT_OUT = ("thumbnail", "object.dcm", "labels.nii.gz", "slices", "plots", "table.csv", "trail.csv", "report.p")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--slow", type=float, default=0, help="print statements slower than so many ms")
    parser.add_argument("--folder", type=Path, help="of a SQLite file that is kept, and filled only once")
    wanted = parser.parse_args()
    with ExitStack() as stack:
        folder = wanted.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = ""
        if wanted.postgres:
            from tests.integration.servers import postgres

            url = stack.enter_context(postgres())
        app = _node(folder, url)
        stack.callback(app.close)
        year = Year(wanted.studies, _end(app) or time.time())
        if _end(app) is None:
            _fill(app, year)
        if wanted.slow:
            _tell_slow(app.database.engine, wanted.slow)
        for name, spent, computed, status in _times(app, year):
            numbers = f"{min(spent):8.1f} {statistics.median(spent):8.1f} {computed:8.1f} ms"
            print(f"{name:<34} {numbers}  {status}", flush=True)


def _node(folder: Path, url: str) -> App:
    folder.mkdir(parents=True, exist_ok=True)
    storage = settings.Storage(data_dir=folder, database_url=url, reserve_bytes=0)
    destination = settings.DestinationSettings(name="pacs", kind="folder", parameters={"folder": str(folder / "out")})
    app = open_app(settings.Settings(storage=storage, destinations=(destination,)))
    prepare(app)
    return app


def _end(app: App) -> float | None:
    """Return when the last study came; None for an empty database."""
    with app.database.read() as session:
        last = session.scalar(sa.select(sa.func.max(StudyRow.last_received_at)))
    return None if last is None else float(last)


def _fill(app: App, year: Year) -> None:
    started = time.monotonic()
    with app.database.write() as session:
        hashed = passwords.hashed(PASSWORD)
        accounts.add(session, "administrator", Role.ADMINISTRATOR, hashed=hashed, who="benchmark")
    year.fill(app.database.engine)
    images = year.studies * SERIES * IMAGES
    print(f"{year.studies} studies, {images} images filled in within {time.monotonic() - started:.0f} s", flush=True)


def _pages(year: Year) -> dict[str, str]:
    """Return every page by name: each URL that shows something and is no file, then the searches."""
    n = year.studies // 2
    middle, day, place = year.study_uid(n), year.day(n), f"{year.at(n)!r}_{year.study_uid(n)}"
    searches = {
        "studies, name": "/studies?patient=Lemabo",
        "studies, ID": f"/studies?patient={year.patient_id(4242)}",
        "studies, part of a name": "/studies?patient=emab",
        "studies, no such patient": "/studies?patient=Nobody",
        "studies, accession": f"/studies?accession={year.accession(year.studies // 3)}",
        "studies, part of an accession": "/studies?accession=4711",
        "studies, no such accession": "/studies?accession=none",
        "studies, one day": f"/studies?date_from={day}&date_to={day}",
        "studies, a year ago": f"/studies?date_to={year.day(year.studies // 50)}",
        "studies, name and date": f"/studies?patient=Lemabo&date_from={year.day(0)}",
        "studies, far down": f"/studies?before={place}",
        "studies, newer than a place": f"/studies?after={place}",
        **{f"studies, {state}": f"/studies?state={state}" for state in STATES},
        **{f"studies, {state}, far down": f"/studies?state={state}&before={place}" for state in STATES},
        "audit trail, who": "/audit?who=reader+7",
        "audit trail, action": "/audit?action=viewed",
        "audit trail, study": f"/audit?study={middle}",
        "audit trail, one day": f"/audit?date_from={day}&date_to={day}",
        "audit trail, who and long ago": f"/audit?who=reader+7&date_to={year.day(year.studies // 50)}",
        "judgements, a month": f"/judgements?month={day[:7]}",
    }
    known = {"study_uid": middle, "number": "1"}
    shown = [url.path for url in URLS if url.method == "GET" and not any(word in url.path for word in LEFT_OUT)]
    plain = {path: re.sub(r"\{(\w+)\}", lambda found: known.get(found.group(1), "1"), path) for path in shown}
    return {**plain, "/metrics": "/metrics", **searches}


def _times(app: App, year: Year) -> Iterator[tuple[str, list[float], float, int]]:
    """Yield how long some answers of each page took, what of it was computing, and their status."""
    client = TestClient(create(app), client=("127.0.0.1", 50_000), base_url="http://127.0.0.1", follow_redirects=False)
    client.post("/login", data={"name": "administrator", "password": PASSWORD})
    for name, path in _pages(year).items():
        spent, computed = [], []
        of_server = _server_ms(app)
        for _ in range(TIMES):
            started, began = time.perf_counter(), time.process_time()
            answer = client.get(path)
            computed.append((time.process_time() - began) * 1000)
            spent.append((time.perf_counter() - started) * 1000)
        yield name, spent, min(computed) + (_server_ms(app) - of_server) / TIMES, answer.status_code


def _server_ms(app: App) -> float:
    """Return how long PostgreSQL's processes for our connections have computed; 0 for SQLite, which is in this one."""
    if app.database.is_sqlite:
        return 0.0
    with app.database.engine.connect() as connection:
        pids = connection.scalars(sa.text("SELECT pid FROM pg_stat_activity WHERE usename = current_user")).all()
    ticks = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13] for pid in pids]
    return sum(int(user) + int(system) for user, system in ticks) * 1000 / os.sysconf("SC_CLK_TCK")


def _tell_slow(engine: sa.Engine, limit_ms: float) -> None:
    @sa.event.listens_for(engine, "before_cursor_execute")
    def _begin(connection, cursor, statement, parameters, context, many) -> None:  # type: ignore[no-untyped-def]
        connection.info["begun"] = time.perf_counter()

    @sa.event.listens_for(engine, "after_cursor_execute")
    def _end(connection, cursor, statement, parameters, context, many) -> None:  # type: ignore[no-untyped-def]
        spent_ms = (time.perf_counter() - connection.info["begun"]) * 1000
        if spent_ms > limit_ms:
            print(f"  {spent_ms:.0f} ms: {' '.join(statement.split())[:1500]}  {str(parameters)[:300]}", flush=True)


if __name__ == "__main__":
    main()
