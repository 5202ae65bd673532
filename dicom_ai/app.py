"""What every process shares: settings, database, files, folders, and the log. Loads no model."""

import logging
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from dicom_ai import __version__
from dicom_ai.alarms import channels, conditions
from dicom_ai.alarms.watch import Watch
from dicom_ai.audit_feed import outlets
from dicom_ai.audit_feed.feed import Feed
from dicom_ai.dimse.tls import client_context
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.retries import Retries
from dicom_ai.errors import Unavailable
from dicom_ai.inference.registry import default_models_folder
from dicom_ai.pipeline import neighbours
from dicom_ai.pipeline.neighbours import Home, Live
from dicom_ai.routing.shipped import read_rules
from dicom_ai.sections import AuditSettings, SyslogServer
from dicom_ai.settings import Settings
from dicom_ai.storage import audit, rules, schema, studies
from dicom_ai.storage import neighbours as stored_neighbours
from dicom_ai.storage.database import Database
from dicom_ai.storage.disk import disk_of
from dicom_ai.storage.files import FileStore
from dicom_ai.storage.retention import DAY_S, Limits
from dicom_ai.storage.runs import Patience
from dicom_ai.syslog import Server

log = structlog.get_logger()


MB = 1_000_000

_ALARM_LIMITS = (
    "peer_silent_h",
    "rule_idle_days",
    "result_overdue_h",
    "spine_missed_percent",
    "queue_age_h",
    "destination_down_h",
    "held_h",
    "paused_h",
)
"""Settings of [alarms] that are limits, by the names they have there and in alarms.conditions."""


@dataclass(frozen=True, slots=True)
class App:
    """One process's share of the node. analyses: where analyses are kept until their study is reported."""

    settings: Settings
    database: Database = field(repr=False)
    files: FileStore = field(repr=False)
    models_folder: Path
    neighbours: Live

    @property
    def destinations(self) -> Mapping[str, Destination]:
        """The destinations in force by name; a change on a page is seen here within seconds."""
        return self.neighbours.destinations

    @property
    def analyses(self) -> Path:
        """Where analyses are kept until their study is reported."""
        return self.files.root / "analyses"

    @property
    def patience(self) -> Patience:
        """How long a study waits for its report."""
        timing = self.settings.timing
        return Patience(timing.study_quiet_s, timing.association_stale_s, timing.report_limit_s)

    @property
    def archive(self) -> Destination | None:
        """The PACS that is asked how many images a series has, if any."""
        return self.destinations.get(self.settings.completion.archive)

    @property
    def prior_archive(self) -> Destination | None:
        """The archive that is asked for earlier reports, if any."""
        return self.destinations.get(self.settings.prior.archive)

    @property
    def limits(self) -> Limits:
        """How long things are kept."""
        keep = self.settings.retention
        return Limits(keep.unwanted_images_h * 3600, keep.analysed_images_days * DAY_S, keep.results_days * DAY_S)

    @property
    def retries(self) -> Retries:
        """How often and how late something is tried again."""
        timing = self.settings.timing
        return Retries(timing.retry_first_s, timing.retry_longest_s, timing.maximum_attempts, timing.send_give_up_s)

    @property
    def name(self) -> str:
        """The node in messages: AE title and machine."""
        return f"{self.settings.node.ae_title}@{socket.gethostname()}"

    @property
    def watch(self) -> Watch:
        """What looking for alarms needs. Raises ConfigError where a certificate cannot be used."""
        wanted = self.settings.alarms
        limits = {name: getattr(wanted, name) for name in _ALARM_LIMITS}
        return Watch(
            database=self.database,
            name=self.name,
            peers=self.neighbours.now.neighbours.ae_titles,
            limits=conditions.Limits(**limits, give_up_s=self.settings.timing.send_give_up_s),
            disk=lambda: disk_of(self.files.root),
            reserve_bytes=self.files.reserve_bytes,
            channels=_channels(self.settings),
            repeat_s=wanted.repeat_h * 3600,
        )

    @property
    def audit_outlets(self) -> tuple[str, ...]:
        """Where the audit trail goes: file, syslog, both, or nowhere."""
        wanted = self.settings.audit
        return tuple(name for name, value in (("file", wanted.file), ("syslog", wanted.url)) if value)

    def audit_feed(self, name: str) -> Feed:
        """What bringing the trail to an outlet needs. Raises ConfigError where a certificate cannot be used."""
        return Feed(self.database, f"audit-{name}", self.name, _audit_outlet(self.settings.audit, name))

    def note_process(self, action: str, process: str) -> None:
        """Note in the audit trail that a process started or stopped; with the database away, only the log says it."""
        detail: audit.Detail = {"release": __version__, "pid": os.getpid()}
        try:
            with self.database.write() as session:
                audit.record(session, "node", action, f"process {process}", detail)
        except Unavailable as error:
            log.warning("not in the audit trail", process=process, action=action, reason=str(error))

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def open_app(settings: Settings) -> App:
    """Open the data folder and the database; a database of another release is refused by require_newest, not here."""
    database = Database(settings.database_url)
    return App(
        settings=settings,
        files=FileStore(settings.storage.data_dir, reserve_bytes=settings.storage.reserve_bytes),
        database=database,
        models_folder=settings.models.directory or default_models_folder(),
        neighbours=Live(database, home_of(settings)),
    )


def refuse_loops(settings: Settings) -> None:
    """Raise ConfigError for a destination that is this node itself: its results would come back to it for ever."""
    neighbours.refuse_loops(home_of(settings), settings.neighbours)


def refuse_loops_in_force(app: App) -> None:
    """Raise ConfigError for the same among the destinations in force, or where they cannot be read."""
    with app.database.read() as session:
        stored = stored_neighbours.in_force(session, app.neighbours.home.file)
    neighbours.refuse_loops(app.neighbours.home, stored.neighbours)


def home_of(settings: Settings) -> Home:
    """Return what the node itself adds to its destinations and peers."""
    timeouts = settings.timeouts
    return Home(
        file=settings.neighbours,
        ports=frozenset({settings.node.port, settings.tls.port if settings.tls.certificate else 0}) - {0},
        archives={settings.completion.archive: "completion.archive", settings.prior.archive: "prior.archive"},
        most_per_hour=settings.brakes.most_per_hour,
        usual={
            "calling_ae_title": settings.node.ae_title,
            "connect_s": timeouts.connect_s,
            "acse_s": timeouts.acse_s,
            "dimse_s": timeouts.dimse_s,
            "network_s": timeouts.network_s,
        },
    )


def prepare(app: App, *, rules_on: bool = False) -> None:
    """Bring the database to this release, and seed it with rules when it has none.

    rules_on: seed them as the file has them; otherwise each starts in shadow, until an administrator turns it on. A
    database that was seeded in shadow, and that nobody has used since, counts as empty.
    """
    schema.upgrade(app.database)
    rule_set = read_rules(app.settings.rules.seed)
    seeded = rule_set if rules_on else rule_set.seeded_as("shadow")
    with app.database.write() as session:
        stored = rules.current(session)
        is_unused = stored is not None and stored.note == _IN_SHADOW and studies.last_received_at(session) is None
        if stored is None or (rules_on and is_unused):
            rules.save(session, seeded.as_toml(), author="dicom-ai", note=_AS_THEY_STAND if rules_on else _IN_SHADOW)
        elif rules_on and not any(rule.get("state", "on") == "on" for rule in stored.content.get("rule", ())):
            reason = f"the database has rules, version {stored.version} by {stored.author}: {stored.note}"
            log.warning("--rules-on does nothing", reason=reason, instead="dicom-ai rules turn NAME on")


_IN_SHADOW, _AS_THEY_STAND = "seeded in shadow", "seeded as they stand"


def configure_log(settings: Settings) -> None:
    """Write every log line as one JSON object, or for people, to standard error."""
    level = getattr(logging, settings.log.level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.log.format == "json"
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    # Without the local variables that structlog would add: they hold what patients are called.
    plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    errors: list[Any] = [structlog.processors.ExceptionRenderer(plain)] if as_json else []
    structlog.configure(
        processors=[*shared, *errors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = _ToStandardError()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *errors, renderer],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


def _channels(settings: Settings) -> Mapping[str, channels.Channel]:
    """Return the ways in which the settings let a person learn of alarms."""
    email, webhook, syslog = settings.email, settings.webhook, settings.syslog
    found: dict[str, channels.Channel] = {}
    if email.host and email.recipients:
        found["email"] = channels.Email(**email.model_dump())
    if webhook.url:
        found["webhook"] = channels.Webhook(webhook.url, webhook.authorization)
    if syslog.url:
        found["syslog"] = channels.Syslog(_syslog_server(syslog))
    return found


def _audit_outlet(wanted: AuditSettings, name: str) -> outlets.Outlet:
    if name == "syslog" or wanted.file is None:
        return outlets.Syslog(_syslog_server(wanted))
    return outlets.RotatedFile(wanted.file, int(wanted.largest_mb * MB) if wanted.rotate == "size" else None)


def _syslog_server(section: SyslogServer) -> Server:
    if not section.url.startswith("tls:"):
        return Server(section.url)
    tls = client_context(authorities=section.authorities, certificate=section.certificate, key=section.key)
    return Server(section.url, tls)


class _ToStandardError(logging.Handler):
    """Writes to what standard error is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")
