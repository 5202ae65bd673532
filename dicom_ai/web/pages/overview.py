"""The overview: the one thing that needs a person first, then whether the node receives, analyses and delivers."""

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.responses import Response

from dicom_ai.app import App
from dicom_ai.domain.browsing import Search
from dicom_ai.storage import alarms, browse, holds, outbox, pauses, rules, signs, studies, worklist
from dicom_ai.storage.database import Session, now
from dicom_ai.storage.disk import disk_of
from dicom_ai.web.reasons import plain
from dicom_ai.web.rendering import amount
from dicom_ai.web.visit import Visiting

MOST = 8
"""Studies under "last studies"."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs a person. tone: bad, or warn where it can wait until tomorrow."""

    tone: str
    title: str
    text: str
    path: str
    link: str


def show(visit: Visiting) -> Response:
    """Show the node at a glance."""
    app = visit.app
    disk = disk_of(app.files.root)
    with visit.database.read() as session:
        values = {
            "needs": list(needs_of(app, session)),
            "at": now(session),
            "last_received_at": studies.last_received_at(session),
            "queues": signs.queues(session),
            "destinations": outbox.statuses(session),
            "devices": signs.devices(session),
            "rules": rules.current(session),
            "last": browse.search(session, Search(), most=MOST).studies,
        }
    visit.viewed_many([study.study_uid for study in values["last"]])  # type: ignore[attr-defined]
    return visit.page("overview.html", disk=disk, plain=plain, **values)  # type: ignore[arg-type]


def needs_of(app: App, session: Session) -> Iterator[Need]:
    """Yield what needs a person, the worst first."""
    disk = disk_of(app.files.root).warning(reserve_bytes=app.files.reserve_bytes)
    if disk:
        yield Need("bad" if "refused" in disk else "warn", "Disk", disk, "", "")
    for alarm in sorted(alarms.open_now(session), key=lambda item: -item.level):
        if alarm.condition != "disk":
            tone = "bad" if alarm.level > alarms.Level.WARNING else "warn"
            yield Need(tone, alarm.text, f"alarm {alarm.name}", "", "")
    broken, lost = worklist.failed_jobs(session, most=1000), worklist.failed_deliveries(session, most=1000)
    if broken or lost:
        told = [f"{amount(len(broken), 'analysis or report', 'analyses or reports')} failed"] if broken else []
        told += [f"{amount(len(lost), 'result')} did not arrive"] if lost else []
        yield Need("bad", "Failures", f"{' and '.join(told)}; nothing is tried again by itself.", "/queue", "Look")
    held = [item for item in holds.open_now(session) if item.blocks]
    if held:
        text = f"Results of {amount(len({item.study_uid for item in held}), 'study', 'studies')} wait for a decision."
        yield Need("warn", "Held", text, "/queue", "Decide")
    for item in pauses.all_of(session):
        text = f"by {item.who}{f': {item.why}' if item.why else ''}; {amount(item.held, 'delivery', 'deliveries')} held"
        yield Need("warn", f"Paused: {item.text}", text, "/queue", "Resume")
