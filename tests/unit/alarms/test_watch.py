from collections.abc import Sequence

from structlog.testing import capture_logs

from dicom_ai.alarms import watch
from dicom_ai.alarms.watch import Watch
from dicom_ai.errors import Unavailable
from dicom_ai.storage.alarms import Alarm
from dicom_ai.storage.database import Database
from dicom_ai.storage.disk import Disk
from tests.unit.alarms.test_conditions import LIMITS
from tests.unit.storage.conftest import Clock


class Kept:
    """A channel that keeps what it is told, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.told: list[str] = []
        self.away = away

    def tell(self, node: str, alarms: Sequence[Alarm]) -> None:
        if self.away:
            raise Unavailable("no route")
        self.told += [f"{node} {alarm.name}{' over' if alarm.closed_at else ''}" for alarm in alarms]


def watching(database: Database, disks: list[Disk], **channels: Kept) -> Watch:
    return Watch(database, "N", (), LIMITS, lambda: disks[-1], 0, channels)


def test_what_is_wrong_is_told_once_by_every_channel_that_works_and_when_it_is_over(
    database: Database, clock: Clock
) -> None:
    disks = [Disk(100, 20)]
    mail, hook = Kept(), Kept(away=True)
    node = watching(database, disks, email=mail, webhook=hook)
    with capture_logs() as logs:
        watch.run(node, "a")
    hook.away = False
    watch.run(node, "a")
    disks.append(Disk(100, 90))
    clock.advance(600)
    watch.run(node, "a")

    assert mail.told == hook.told == ["N disk", "N disk over"]
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["event"] == "alarms could not be told"
    assert (line["channel"], line["alarms"], line["reason"]) == ("webhook", 1, "no route")


def test_two_clocks_tell_once(database: Database) -> None:
    mail = Kept()
    node = watching(database, [Disk(100, 20)], email=mail)

    class Second(Kept):
        def tell(self, node_name: str, alarms: Sequence[Alarm]) -> None:
            assert watch.run(node, "b") is False
            super().tell(node_name, alarms)

    second = Second()
    assert watch.run(watching(database, [Disk(100, 20)], webhook=second), "a") is True
    assert (second.told, mail.told) == (["N disk"], [])
