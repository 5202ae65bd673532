"""What `dicom-ai doctor` looks at. To add a check: write a function here that yields findings; name it in CHECKS."""

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dicom_ai.cli import _inward
from dicom_ai.cli._found import Found
from dicom_ai.errors import ConfigError, DicomAiError

if TYPE_CHECKING:
    from dicom_ai.app import App

CLOCK_SLACK_S = 60
YEAR_2026 = 1_767_225_600
"""The first second of 2026, before which this release did not exist."""


def settings(app: "App") -> Iterator[Found]:
    """Look for what settings, destinations and peers lack, and whether the settings file says the same of them."""
    from dicom_ai.pipeline.neighbours import differences, refuse_loops

    stored, home = app.neighbours.now, app.neighbours.home
    if not stored.neighbours.peers:
        yield Found("settings", False, "no [[peers]]: every association is rejected")
    if not app.destinations:
        yield Found("settings", False, "no [[destinations]]: results go nowhere")
    try:
        refuse_loops(home, stored.neighbours)
    except ConfigError as error:
        yield Found("settings", False, str(error))
    differing = [] if stored.from_file else differences(stored.neighbours, home.file)
    if differing:
        says = f"the settings file does not count for destinations and peers any more; it says: {', '.join(differing)}"
        yield Found("settings", True, says)
    peers, destinations = len(stored.neighbours.ae_titles), len(stored.neighbours.destinations)
    yield Found("settings", True, f"{peers} peers, {destinations} destinations")


def database(app: "App") -> Iterator[Found]:
    """Look at the revision of the database, and whether its tables are those of this release."""
    from dicom_ai.storage import schema

    schema.require_newest(app.database)
    differences = schema.drift(app.database)
    if differences:
        yield Found("database", False, f"the tables differ from this release: {differences[0]}")
    kind = "SQLite" if app.database.is_sqlite else "PostgreSQL"
    yield Found("database", not differences, f"{kind}, revision {schema.newest()}")


def clock(app: "App") -> Iterator[Found]:
    """Look whether the clock can be right."""
    from dicom_ai.storage import studies

    at = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    if at < YEAR_2026:
        yield Found("clock", False, f"it says {shown}, before this release was made")
        return
    with app.database.read() as session:
        last = studies.last_received_at(session)
    if last is not None and last > at + CLOCK_SLACK_S:
        yield Found("clock", False, f"it says {shown}, {last - at:.0f} s before the last image came: it was set back")
        return
    yield Found("clock", True, shown)


def disk(app: "App") -> Iterator[Found]:
    """Look whether the data folder can be written and how full its disk is."""
    from dicom_ai.storage.disk import disk_of

    root = app.files.root
    if not os.access(root, os.W_OK):
        yield Found("disk", False, f"{root} cannot be written")
    found = disk_of(root)
    warning = found.warning(reserve_bytes=app.files.reserve_bytes)
    yield Found("disk", not warning, warning or f"{found.free / 1e9:.1f} GB of {found.total / 1e9:.1f} GB are free")


def models(app: "App") -> Iterator[Found]:
    """Load every model, and say what it really runs on."""
    from dicom_ai.inference.registry import ModelStore

    wanted = app.settings.models
    store = ModelStore(app.models_folder, device=wanted.device, runtime=wanted.runtime, threads=wanted.threads)
    if not store.names():
        yield Found("model", False, f"no models in {app.models_folder}")
    for name in store.names():
        report = store.check(name)
        says = f"{name} runs on {report.device}" if report.ok else f"{name} cannot serve: {'; '.join(report.problems)}"
        yield Found("model", report.ok, says)


def broker(app: "App") -> Iterator[Found]:
    """Look whether the broker answers."""
    from dicom_ai.worker.celery_app import MEMORY, reach

    url = app.settings.workers.broker_url
    if url == MEMORY:
        yield Found("broker", True, "none needed: one process")
        return
    reach(url)
    yield Found("broker", True, "it answers")


def destinations(app: "App") -> Iterator[Found]:
    """Call every destination, and say what it will store."""
    from dicom_ai.destinations.trials import accepts, answer

    for destination in app.destinations.values():
        name = f"destination {destination.name}"
        try:
            yield from (Found(name, said.ok, said.says) for said in answer(destination))
            if destination.kind == "c_store":
                yield from (Found(name, said.ok, said.says) for said in accepts(destination, destination.outputs))
        except DicomAiError as error:
            yield Found(name, False, str(error))


def prior(app: "App") -> Iterator[Found]:
    """Look whether the archive of earlier reports offers what asking it needs; nothing where none is asked."""
    from dicom_ai.destinations.earlier_reports import Retrieve, readiness

    wanted = app.settings.prior
    if not wanted.archive:
        return
    archive = app.prior_archive
    if archive is None:
        yield Found("prior", False, f"prior.archive: there is no destination {wanted.archive!r}")
        return
    yield Found("prior", *readiness(archive, Retrieve(wanted.retrieve)))


CHECKS: dict[str, Callable[["App"], Iterator[Found]]] = {
    "settings": settings,
    "database": database,
    "clock": clock,
    "disk": disk,
    "model": models,
    "broker": broker,
    "destination": destinations,
    "prior": prior,
    "listener": _inward.listener,
    "peer": _inward.peers,
}
"""Name -> check, in the order in which they are made."""


def examine(app: "App") -> Iterator[Found]:
    """Make every check; one that cannot be made is something wrong, and does not stop the others."""
    for name, check in CHECKS.items():
        try:
            yield from check(app)
        except DicomAiError as error:
            yield Found(name, False, str(error))
