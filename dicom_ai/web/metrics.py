"""What Prometheus scrapes: counts and times by names of the node's own parts; no study, no patient.

The numbers are read from the database at each scrape, so that they are true for all processes of the node. Only the
histograms of times begin when this process does: what ended since then is added at each scrape.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dicom_ai.app import App
from dicom_ai.storage import alarms, holds, jobs, outbox, pauses, signs, studies, throughput, worklist
from dicom_ai.storage.database import Session, now
from dicom_ai.storage.disk import disk_of
from dicom_ai.storage.holds import HoldKind
from dicom_ai.storage.pauses import PauseKind
from dicom_ai.storage.throughput import LIMITS_S, STAGES, Spent
from dicom_ai.web.reasons import WORDS, word_of

PREFIX = "dicom_ai_"
MOST_FAILURES = 10_000

SETTLED_S = 10.0
"""A transaction that ended something this long ago is in the database: what is counted once is never counted again."""

LONGEST_GAP_S = 86_400.0
"""What ended longer before a scrape than this is left out of the histograms."""

KINDS = ("gpu", "cpu", "refused")

Labelled = Mapping[tuple[str, ...], float]


class Durations:
    """How long what ended since this process began took, by stage; added up from scrape to scrape."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: float | None = None
        self._spent = {stage: Spent() for stage in STAGES}
        self._ended: Counter[tuple[str, str]] = Counter()

    def read(self, session: Session) -> tuple[Mapping[str, Spent], Mapping[tuple[str, str], int]]:
        """Return what each stage took, and how tries of jobs ended, by kind and outcome."""
        with self._lock:
            end = now(session) - SETTLED_S
            if self._until is None:
                self._until = end
            begin = max(self._until, end - LONGEST_GAP_S)
            if end > begin:
                for stage, more in throughput.spent(session, begin=begin, end=end).items():
                    self._spent[stage] += more
                self._ended.update(throughput.ended(session, begin=begin, end=end))
                self._until = end
            return dict(self._spent), dict(self._ended)


class NodeMetrics(Collector):
    """The node's numbers."""

    def __init__(self, app: App, durations: Durations) -> None:
        self._app = app
        self._durations = durations

    def collect(self) -> Iterator[Metric]:
        """Yield every number of one moment."""
        with self._app.database.read() as session:
            yield from _work(session)
            yield from _failures(session)
            yield from _destinations(session)
            yield from _watch(session)
            yield from self._times(session)
        disk = disk_of(self._app.files.root)
        sizes: Labelled = {("total",): disk.total, ("free",): disk.free, ("reserve",): self._app.files.reserve_bytes}
        yield _gauge("disk_bytes", "The data folder's disk; below the reserve images are refused.", sizes, "kind")

    def _times(self, session: Session) -> Iterator[Metric]:
        spent, ended = self._durations.read(session)
        family = HistogramMetricFamily(
            f"{PREFIX}stage_seconds",
            "How long the stages of the work took.",
            labels=["stage"],
        )
        for stage, one in spent.items():
            buckets = [(f"{limit:.1f}", count) for limit, count in zip(LIMITS_S, one.within, strict=True)]
            family.add_metric([stage], [*buckets, ("+Inf", one.number)], one.total_s)
        yield family
        counted = CounterMetricFamily(f"{PREFIX}tries", "Tries of jobs that ended.", labels=["kind", "outcome"])
        for labels, number in ended.items():
            counted.add_metric(list(labels), number)
        yield counted


def text(app: App, durations: Durations) -> bytes:
    """Return all numbers in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeMetrics(app, durations))
    return generate_latest(registry)


def _work(session: Session) -> Iterator[Metric]:
    at, last, queues = now(session), studies.last_received_at(session), signs.queues(session)
    received = CounterMetricFamily(f"{PREFIX}received", "Objects received since the node was set up.")
    received.add_metric([], throughput.received(session))
    yield received
    yield _gauge("received_seconds_ago", "Since the last image came.", {(): at - last} if last else {})
    yield _gauge("jobs", "Jobs by state.", _by(jobs.counts(session)), "state")
    yield _gauge("deliveries", "Results for destinations by state.", _by(outbox.counts(session)), "state")
    yield _gauge("queue_length", "What waits.", _by({name: one.number for name, one in queues.items()}), "queue")
    ages = {name: at - one.since for name, one in queues.items()}
    yield _gauge("queue_age_seconds", "The oldest that waits.", _by(ages), "queue")


def _failures(session: Session) -> Iterator[Metric]:
    """Yield what failed, is not tried again, and waits for a person, by reasons of a fixed list."""
    counts: Counter[tuple[str, ...]] = Counter({(what, word): 0 for what in ("job", "delivery") for word in WORDS})
    counts.update(("job", word_of(item.reason)) for item in worklist.failed_jobs(session, most=MOST_FAILURES))
    deliveries = worklist.failed_deliveries(session, most=MOST_FAILURES)
    counts.update(("delivery", word_of(item.error)) for item in deliveries)
    yield _gauge("failed", "What failed and waits for a person, by reason.", counts, "what", "reason")
    failed = signs.failed_jobs(session, since=now(session) - signs.DAY_S)
    yield _gauge("jobs_failed_last_day", "Jobs that broke, by model.", _by(failed), "model")


def _destinations(session: Session) -> Iterator[Metric]:
    at, known = now(session), outbox.statuses(session)
    paused = {item.subject.name for item in pauses.all_of(session) if item.subject.kind is PauseKind.DESTINATION}
    everything = any(item.subject.kind is PauseKind.ALL for item in pauses.all_of(session))
    told: dict[str, tuple[str, dict[str, float]]] = {
        "up": ("1 where the last try did not fail.", {one.name: not one.failures for one in known}),
        "paused": ("1 where a person holds it.", {one.name: everything or one.name in paused for one in known}),
        "pending": ("Results that wait for it.", {one.name: one.pending for one in known}),
        "failures": ("Failures in a row.", {one.name: one.failures for one in known}),
        "sent_seconds_ago": (
            "Since it took a result.",
            {one.name: at - one.last_sent_at for one in known if one.last_sent_at},
        ),
    }
    for name, (about, values) in told.items():
        yield _gauge(f"destination_{name}", about, _by(values), "destination")


def _watch(session: Session) -> Iterator[Metric]:
    waiting = Counter(item.kind for item in holds.open_now(session))
    yield _gauge("held", "What waits for a person's decision.", _by({kind: waiting[kind] for kind in HoldKind}), "kind")
    raised: Counter[tuple[str, ...]] = Counter((alarm.condition,) for alarm in alarms.open_now(session))
    yield _gauge("alarms", "Alarms that are open, by condition.", raised, "condition")
    devices: Labelled = {
        (one.host, one.model, kind): float(kind == _kind_of(one.device))
        for one in signs.devices(session)
        for kind in KINDS
    }
    yield _gauge("model_device", "1 at what a model runs on now.", devices, "host", "model", "device")


def _kind_of(device: str) -> str:
    return "gpu" if "CUDA" in device.upper() else "refused" if device.startswith("refused") else "cpu"


def _by(values: Mapping[Any, float]) -> Labelled:
    return {(str(key),): value for key, value in values.items()}


def _gauge(name: str, about: str, values: Labelled, *labels: str) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, about, labels=list(labels))
    for key, value in values.items():
        family.add_metric(list(key), float(value))
    return family
