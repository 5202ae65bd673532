"""The scenarios: each is a function that does something to a node, and leaves it able to go on.

A scenario sends studies, has one fault, and ends when the node has settled; the books are done afterwards. To add
one: write a function here and name it in SCENARIOS.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.faults import disk
from tests.faults.clock import DAY_S, HOUR_S, WallClock
from tests.faults.site import APART, GPU, LISTEN, ONE, SIZES, Site
from tests.faults.wire import Wire
from tests.integration.test_processes import STAGES


@contextmanager
def running(folder: Path, size: str, **options: object) -> Iterator[Site]:
    """Run a node with its archive up; end it whatever happens."""
    site = Site(folder, size, **options)  # type: ignore[arg-type]
    try:
        site.archive.start()
        site.start()
        yield site
    finally:
        site.close()


def volume_missing(folder: Path, size: str) -> Iterator[Site]:
    """The data volume goes away while images come and a study waits to be worked on; the node is started without it.

    SQLite lies on the volume too: a node on it cannot know that it had another life, so it is not started without it
    (RequiresMountsFor= in the units of systemd sees to that).
    """
    volume = disk.Volume(folder / "volume", folder / "data")
    volume.attach()
    try:
        with running(folder, size, data=folder / "data") as site:
            site.send(site.study(1))
            site.settle()
            site.send(site.study(2))
            third = site.study(3)
            volume.detach()
            site.send_once(third)
            time.sleep(5)
            if site.postgres:
                site.kill()
                site.start_processes()
                site.until(partial(_listens_or_ended, site), "the listener starts, or refuses to", seconds=120)
                site.send_once(third)
                site.kill()
            volume.attach()
            site.start()
            site.send(third)
            site.settle()
            yield site
    finally:
        volume.detach()


def _listens_or_ended(site: Site) -> bool:
    return LISTEN in site.dead() or site.answers(restart=False)


def disk_full_mid_image(folder: Path, size: str) -> Iterator[Site]:
    """The disk is full in the middle of an image, and stays so for a while."""
    with disk.small_disk(folder / "data", 64), running(folder, size, data=folder / "data", quiet_s=8) as site:
        site.send(site.study(1))
        site.settle()
        paths = site.study(2, side=512, images=12)  # half a megabyte each
        ballast = disk.fill(folder / "data", leave_bytes=2_200_000)
        site.send_once(paths)
        time.sleep(3)
        ballast.unlink()
        site.send(paths)
        site.settle()
        yield site


def disk_full_while_working(folder: Path, size: str) -> Iterator[Site]:
    """The disk is full while a study that was received is analysed and reported, for more than five tries."""
    with disk.small_disk(folder / "data", 64), running(folder, size, data=folder / "data") as site:
        site.send(site.study(1))
        ballast = disk.fill(folder / "data")
        time.sleep(20)
        ballast.unlink()
        site.settle()
        yield site


def kill_while_receiving(folder: Path, size: str) -> Iterator[Site]:
    """kill -9 of the process that receives, in the middle of images, twelve times."""
    with running(folder, size, quiet_s=8) as site:
        for number in range(1, 4):
            paths = site.study(number, images=10, side=256)
            for moment in range(4):
                sender = threading.Thread(target=site.send_once, args=(paths,))
                sender.start()
                time.sleep(0.03 + 0.02 * moment)
                site.kill(site.commands[0])
                sender.join()
                site.start()
            site.send(paths)
        site.settle()
        yield site


def kill_at_every_stage(folder: Path, size: str) -> Iterator[Site]:
    """kill -9 of every process at every stage of the flow."""
    with running(folder, size) as site:
        number = 0
        for _, query in STAGES.values():
            for command in site.commands:
                number += 1
                site.send(site.study(number))
                site.until(partial(_reached, site, query), "the stage is reached or passed", seconds=60, step_s=0.02)
                site.kill(command)
                site.start()
                site.settle()
        yield site


def _reached(site: Site, query: str) -> bool:
    return site.holds(query) or site.settled()


def database_down(folder: Path, size: str) -> Iterator[Site]:
    """The database crashes while images come, while studies are worked on, and comes back each time.

    SQLite cannot go down; another program sits on its lock instead. No worker dies, so that no job may be
    parked for having taken workers down, although the database is away for longer than a lease, four times.
    """
    with running(folder, size, quiet_s=4, maximum_lost=2) as site:
        for number in range(1, 4):
            paths = site.study(number, images=10)
            sender = threading.Thread(target=site.send_once, args=(paths,))
            sender.start()
            time.sleep(0.1 * number)
            with _without_database(site):
                time.sleep(3)
            sender.join()
            site.send(paths)
        with _without_database(site):
            time.sleep(5)
        site.settle()
        yield site


@contextmanager
def _without_database(site: Site) -> Iterator[None]:
    if site.postgres:
        site.postgres.crash()
        yield
        site.postgres.start()
        return
    with site.app() as app, app.database.write():
        yield


def models_away(folder: Path, size: str) -> Iterator[Site]:
    """The folder of the models is gone when analyses are due, for more than five tries."""
    with running(folder, size) as site:
        site.kill(GPU)
        for number in range(1, 4):
            site.send(site.study(number))
        routed = "SELECT 1 FROM jobs WHERE kind = 'analyse' HAVING count(*) = 3"
        site.until(partial(site.holds, routed), "the analyses are queued", seconds=60)
        with site.without_models():
            site.start()
            time.sleep(15)
        site.settle()
        yield site


def broker_down(folder: Path, size: str) -> Iterator[Site]:
    """The broker goes away with every token in it, and comes back empty."""
    with running(folder, size) as site:
        site.send(site.study(1))
        site.broker_down()
        site.send(site.study(2))
        time.sleep(5)
        site.broker_up()
        site.send(site.study(3))
        site.settle()
        yield site


def archive_down_for_days(folder: Path, size: str) -> Iterator[Site]:
    """The archive is down for two and a half days of the wall clock, while studies come and the node is restarted."""
    clock = WallClock(folder)
    with running(folder, size, environment=clock.environment, retry_longest_s=HOUR_S) as site:
        site.archive.stop()
        for number in range(1, 6):
            site.send(site.study(number))
            site.until(partial(_reported, site, number), "the study is reported", seconds=120)
            time.sleep(1)
            site.kill()  # to a node that runs, the time that has passed would be a clock that was set
            clock.jump(12 * HOUR_S)
            site.start()
        site.archive.start()
        site.kill()
        clock.jump(2 * HOUR_S)
        site.start()
        site.settle()
        yield site


def _reported(site: Site, number: int) -> bool:
    site.restart_dead()
    return site.holds(f"SELECT 1 FROM runs WHERE state = 'reported' AND study_uid = '1.2.826.0.1.{number}'")


def archive_misbehaves(folder: Path, size: str) -> Iterator[Site]:
    """The archive refuses associations, aborts in the middle of objects, and before it answers."""
    with running(folder, size) as site:
        for number, fault in enumerate(("--refuse", "--abort-during", "--abort-after"), start=1):
            site.archive.stop()
            site.archive.start(fault)
            site.send(site.study(number))
            site.until(partial(_reported, site, number), "the study is reported", seconds=120)
            time.sleep(3)
        site.archive.stop()
        site.archive.start()
        site.settle()
        yield site


def archive_killed(folder: Path, size: str) -> Iterator[Site]:
    """The archive is killed while it receives, and comes back with what it has."""
    with running(folder, size) as site:
        for number in range(1, 4):
            site.archive.stop()
            site.archive.start("--sleep-during", "1")
            site.send(site.study(number))
            site.until(partial(_being_sent, site), "results are on their way", seconds=60, step_s=0.02)
            time.sleep(0.4 * number)
            site.archive.stop()
            site.archive.start()
            site.settle()
        yield site


def _being_sent(site: Site) -> bool:
    return site.holds("SELECT 1 FROM outbox WHERE state = 'unknown'") or site.settled()


def late_slices(folder: Path, size: str) -> Iterator[Site]:
    """Slices come after the report: it is superseded once, and the new one names the old."""
    with running(folder, size) as site:
        paths = site.study(1, images=10, versions=2)
        site.send(paths[:8])
        site.settle()
        site.send(paths[8:])
        site.until(partial(site.holds, "SELECT 1 FROM runs WHERE number = 2"), "a second run begins", seconds=120)
        site.settle()
        yield site


def slices_come_during_the_work(folder: Path, size: str) -> Iterator[Site]:
    """A slice comes at each stage of the flow: reports on less than was there at their sending are doubled ones."""
    with running(folder, size) as site:
        for number, (_, query) in enumerate(STAGES.values(), start=1):
            paths = site.study(number, images=9, versions=2)
            site.send(paths[:8])
            site.until(partial(_reached, site, query), "the stage is reached or passed", seconds=60, step_s=0.02)
            site.send(paths[8:])
            site.settle()
        yield site


def same_study_three_times(folder: Path, size: str) -> Iterator[Site]:
    """The same study comes three times: at once, after its report, and after a restart."""
    with running(folder, size) as site:
        paths = site.study(1)
        site.send_once([*paths, *paths], again=True)
        site.settle()
        site.send_once(paths, again=True)
        time.sleep(3)
        site.kill()
        site.start()
        site.send_once(paths, again=True)
        time.sleep(3)
        site.settle()
        yield site


def two_senders(folder: Path, size: str) -> Iterator[Site]:
    """Two senders send one study at the same time, in opposite orders, so that half of it meets itself."""
    with running(folder, size) as site:
        for number in range(1, 4):
            paths = site.study(number, images=20)
            senders = [threading.Thread(target=site.send, args=(order,)) for order in (paths, paths[::-1], paths[5:15])]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
        site.settle()
        yield site


def corrected_demographics(folder: Path, size: str) -> Iterator[Site]:
    """Patients are corrected: after their results were sent, before they were, and while they are on their way."""
    with running(folder, size) as site:
        for number, (down_before, down_after) in enumerate(((False, False), (True, True), (False, True)), start=1):
            if down_before:
                site.archive.stop()
            site.send(site.study(number, versions=2))
            if down_after:
                site.until(partial(_reported, site, number), "the study is reported", seconds=120)
            else:
                site.settle()
            corrected = site.corrected(number)
            site.send(corrected)
            if down_before:
                site.archive.start()
            site.until(partial(_reported_again, site, number), "the study is reported again", seconds=120)
            site.settle()
        yield site


def _reported_again(site: Site, number: int) -> bool:
    site.restart_dead()
    return site.holds(
        f"SELECT 1 FROM runs WHERE state = 'reported' AND number > 1 AND study_uid = '1.2.826.0.1.{number}'"
    )


def two_patients_in_one_study(folder: Path, size: str) -> Iterator[Site]:
    """Half of a study comes as one patient's and half as another's; other pixels come under known UIDs: both held."""
    with running(folder, size, quiet_s=4) as site:
        paths = site.study(1, images=8, versions=0)
        site.send(paths[:4])
        site.send(site.corrected(1)[4:])
        paths = site.study(2, images=8, versions=0)
        site.send(paths)
        site.send(site.images(2, site.patient(2), images=9)[:8])  # the ball lies elsewhere in nine slices
        for number in (1, 2):
            held = f"SELECT 1 FROM holds WHERE ended_at IS NULL AND study_uid = '1.2.826.0.1.{number}'"
            site.until(partial(site.holds, held), "the study is held", seconds=120)
        time.sleep(8)
        yield site


def clock_jumps(folder: Path, size: str) -> Iterator[Site]:
    """The wall clock jumps hours, days and a year, both ways, between images and while studies are worked on."""
    clock = WallClock(folder)
    with running(folder, size, environment=clock.environment, quiet_s=2) as site:
        for number, seconds in enumerate((-HOUR_S, DAY_S, -DAY_S, 365 * DAY_S, -365 * DAY_S), start=1):
            paths = site.study(number)
            site.send_once(paths[:4])
            clock.jump(seconds)
            site.send(paths)
            time.sleep(0.7 * number)
            clock.jump(-seconds // 2)
            site.settle(seconds=120)
        site.archive.stop()
        site.send(site.study(6))
        site.until(partial(_reported, site, 6), "the study is reported", seconds=120)
        clock.jump(30 * DAY_S)  # while it runs: a sender may look before the clock process has noticed
        time.sleep(3)
        site.kill()
        clock.jump(30 * DAY_S)  # while it is off: nobody can know how long that was
        site.start()
        time.sleep(3)
        site.archive.start()
        site.settle(seconds=120)
        yield site


def wire_cut(folder: Path, size: str) -> Iterator[Site]:
    """The wire of a sender is cut in the middle of images, at many places, and carries slowly."""
    with running(folder, size, quiet_s=8) as site:
        wire = Wire(site.port)
        paths = site.study(1, images=12, side=128)
        for cut_after in range(1_000, 100_000, 9_000):
            wire.cut_after = cut_after
            site.send_once(paths, port=wire.port)
        wire.cut_after, wire.delay_s = None, 0.002
        slow = site.study(2, images=6, side=128)
        site.send_once(slow, port=wire.port)
        wire.close()
        site.send(paths)
        site.send(slow)
        site.settle()
        yield site


def lights_out(folder: Path, size: str) -> Iterator[Site]:
    """Every process, the database, the broker and the archive end at once, in the middle of everything, three times."""
    with running(folder, size, quiet_s=4) as site:
        for number in range(1, 4):
            paths = site.study(number, images=10)
            sender = threading.Thread(target=site.send, args=(paths,))
            sender.start()
            time.sleep(0.6 * number)
            site.kill()
            site.archive.stop()
            if site.postgres:
                site.postgres.crash()
                site.broker_down()
                site.broker_up()
                site.postgres.start()
            site.archive.start()
            site.start()
            sender.join()
        site.settle()
        yield site


@dataclass(frozen=True)
class Scenario:
    """A row of the table. short: the kinds of node with which every run of the tests plays it, in some seconds."""

    name: str
    play: Callable[[Path, str], Iterator[Site]]
    sizes: tuple[str, ...] = SIZES
    short: tuple[str, ...] = ()


SCENARIOS = (
    Scenario("data volume missing, restart without it", volume_missing),
    Scenario("disk full in mid-image", disk_full_mid_image, short=(ONE,)),
    Scenario("disk full while a study is worked on", disk_full_while_working),
    Scenario("kill -9 while receiving", kill_while_receiving),
    Scenario("kill -9 of every process at every stage", kill_at_every_stage),
    Scenario("everything ends at once", lights_out),
    Scenario("database down and back", database_down),
    Scenario("models away when they are needed", models_away, sizes=(APART,)),
    Scenario("broker down and back", broker_down, sizes=(APART,)),
    Scenario("archive down for 2.5 days", archive_down_for_days),
    Scenario("archive refuses and aborts", archive_misbehaves),
    Scenario("archive killed while it receives", archive_killed),
    Scenario("late slices", late_slices, short=(APART,)),
    Scenario("a slice comes at every stage", slices_come_during_the_work),
    Scenario("the same study three times", same_study_three_times),
    Scenario("two senders of one study", two_senders),
    Scenario("corrected demographics", corrected_demographics),
    Scenario("two patients in one study, other pixels", two_patients_in_one_study),
    Scenario("wall clock jumps", clock_jumps),
    Scenario("wire cut in mid-image, slow wire", wire_cut, short=(ONE,)),
)
