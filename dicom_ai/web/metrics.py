"""What Prometheus scrapes: counts and times by names of the node's own parts; no study, no patient.

The numbers are read from the database at each scrape, so that they are true for all processes of the node.
"""

from collections.abc import Iterator

from prometheus_client.core import CollectorRegistry, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dicom_ai.app import App
from dicom_ai.storage import holds, jobs, outbox, signs, studies
from dicom_ai.storage.database import now
from dicom_ai.storage.disk import disk_of


class NodeMetrics(Collector):
    """The node's numbers."""

    def __init__(self, app: App) -> None:
        self._app = app

    def collect(self) -> Iterator[Metric]:
        """Yield every number of one moment."""
        with self._app.database.read() as session:
            at = now(session)
            last = studies.last_received_at(session)
            queues = signs.queues(session)
            destinations = outbox.statuses(session)
            yield _gauge("received_seconds_ago", "Since the last image came.", "", {"": at - last} if last else {})
            yield _gauge("jobs", "Jobs by state.", "state", dict(jobs.counts(session)))
            yield _gauge("deliveries", "Results for destinations by state.", "state", dict(outbox.counts(session)))
            yield _gauge("queue_length", "What waits.", "queue", {name: one.number for name, one in queues.items()})
            yield _gauge(
                "queue_age_seconds", "The oldest.", "queue", {name: at - q.since for name, q in queues.items()}
            )
            failed = signs.failed_jobs(session, since=at - signs.DAY_S)
            yield _gauge("jobs_failed_last_day", "Jobs that broke, by model.", "model", dict(failed))
            yield _gauge("held", "What waits for a person.", "", {"": len(holds.open_now(session))})
            yield _gauge(
                "destination_pending", "Results.", "destination", {one.name: one.pending for one in destinations}
            )
            failures = {one.name: one.failures for one in destinations}
            yield _gauge("destination_failures", "In a row.", "destination", failures)
            on_gpu = {f"{one.host}/{one.model}": float("CUDA" in one.device.upper()) for one in signs.devices(session)}
            yield _gauge("model_on_gpu", "1 where a model runs on a GPU.", "model", on_gpu)
        disk = disk_of(self._app.files.root)
        yield _gauge("disk_bytes", "Of the data folder's disk.", "kind", {"total": disk.total, "free": disk.free})


def text(app: App) -> bytes:
    """Return all numbers in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeMetrics(app))
    return generate_latest(registry)


def _gauge(name: str, about: str, label: str, values: dict) -> Metric:
    family = GaugeMetricFamily(f"dicom_ai_{name}", about, labels=[label] if label else [])
    for key, value in values.items():
        family.add_metric([str(key)] if label else [], float(value))
    return family
