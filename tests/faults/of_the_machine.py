"""Faults of the machine that the node is on: disks, processes, database, broker, models and clock."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

from tests.faults import disk
from tests.faults.clock import DAY_S, HOUR_S, WallClock
from tests.faults.site import GPU, IO, LISTEN, Site, running
from tests.integration.test_processes import STAGES

OUT_OF_RESOURCES = range(0xA700, 0xA800)
STAND_INS = {"gpu": ("work", "--queue=gpu"), "io": ("work", "--queue=io")}
"""Queue -> a second worker of it, written so that it is another command than the first."""


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
            site.fault(len(site.owed(third)) == len(third))
            if site.postgres:
                site.kill()
                site.start_processes()
                site.until(partial(_listens_or_ended, site), "the listener starts, or refuses to", seconds=120)
                site.send_once(third)
                site.fault(len(site.owed(third)) == len(third))
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
        site.fault(any(status in OUT_OF_RESOURCES for status in site.ledger.statuses if status))
        time.sleep(3)
        ballast.unlink()
        site.send(paths)
        site.settle()
        yield site


def disk_full_while_working(folder: Path, size: str) -> Iterator[Site]:
    """The disk is full while a study that was received is analysed and reported, for more than five tries."""
    with disk.small_disk(folder / "data", 64), running(folder, size, data=folder / "data", quiet_s=4) as site:
        site.send(site.study(1))
        ballast = disk.fill(folder / "data")
        time.sleep(20)
        site.fault(not site.settled())
        ballast.unlink()
        site.settle()
        yield site


def kill_while_receiving(folder: Path, size: str) -> Iterator[Site]:
    """kill -9 of the process that receives, in the middle of images, twelve times.

    The quiet time is longer than a slow machine needs to start the process again: a report in between would be right.
    """
    with running(folder, size, quiet_s=45) as site:
        for number in range(1, 4):
            paths = site.study(number, images=10, side=256)
            for moment in range(4):
                sender = threading.Thread(target=site.send_once, args=(paths,))
                sender.start()
                site.until(partial(_came, site, paths, 2 * moment + 1), "some images came", seconds=60, step_s=0.001)
                time.sleep(0.005 * moment)
                site.kill(site.commands[0])
                sender.join()
                site.fault(bool(site.owed(paths)))
                site.start()
            site.send(paths)
        site.settle()
        yield site


def _came(site: Site, paths: list[Path], images: int) -> bool:
    return len(paths) - len(site.owed(paths)) >= images


def kill_at_every_stage(folder: Path, size: str) -> Iterator[Site]:
    """kill -9 of every process at every stage of the flow; the last is the one that runs the models."""
    with running(folder, size) as site:
        number = 0
        for _, query in STAGES.values():
            for command in (*site.commands, None):
                number += 1
                site.send(site.study(number))
                met = site.reach(query)
                if command:
                    site.kill(command)
                else:
                    met = _kill(site.models()) and met
                site.fault(met)
                site.start()
                site.settle()
        yield site


def _kill(processes: list[psutil.Process]) -> bool:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return bool(processes)


def worker_stands_still(folder: Path, size: str) -> Iterator[Site]:
    """A worker does nothing for longer than its lease at every stage, another takes its work, and then it goes on."""
    with running(folder, size) as site:
        for number, (queue, query) in enumerate(STAGES.values(), start=1):
            command = {"gpu": GPU, "io": IO}[queue]
            site.send(site.study(number))
            site.fault(site.reach(query))
            with site.standing_still(command):
                site.start_processes(STAND_INS[queue])
                site.settle()
            time.sleep(2)
            site.settle()
            site.kill(STAND_INS[queue])
        yield site


def model_hangs(folder: Path, size: str) -> Iterator[Site]:
    """The process of the models stands still in mid-analysis: it is ended, and another one makes the analysis.

    The quiet time is longer than a slow machine needs to send a study: with two analyses of it the fault may come
    between them, where it is noticed only when loading takes too long, after five minutes.
    """
    with running(folder, size, quiet_s=8, longest_run_s=15) as site:
        site.send(site.study(1))
        site.settle()
        for number in (2, 3):
            paths = site.study(number, images=24, side=512)
            (models,) = site.models()
            begun_s = _processor_s(models) + 0.05
            site.send(paths)
            site.until(partial(_has_worked, models, begun_s), "the analysis has begun", seconds=60, step_s=0.002)
            models.suspend()
            try:
                site.settle(seconds=400)
                site.fault(not models.is_running())
            finally:
                _kill([models])
        yield site


def _has_worked(process: psutil.Process, seconds: float) -> bool:
    return _processor_s(process) >= seconds


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def database_down(folder: Path, size: str) -> Iterator[Site]:
    """The database crashes while images come, while studies are worked on, and comes back each time.

    SQLite cannot go down; another program sits on its lock instead. No worker dies, so that no job may be
    parked for having taken workers down, although the database is away for longer than a lease, four times.
    """
    with running(folder, size, quiet_s=10, maximum_lost=2) as site:
        for number in range(1, 4):
            paths = site.study(number, images=10)
            sender = threading.Thread(target=site.send_once, args=(paths,))
            sender.start()
            site.until(partial(_came, site, paths, 2 * number), "some images came", seconds=60, step_s=0.001)
            with _without_database(site):
                time.sleep(3)
                site.fault(bool(site.owed(paths)))
            sender.join()
            site.send(paths)
        with _without_database(site):
            time.sleep(5)
        site.fault(not site.settled())
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
        _queue_three(site)
        with site.without_models():
            site.start()
            time.sleep(15)
            site.fault(not site.settled())
        site.settle()
        yield site


def only_urgent_work(folder: Path, size: str) -> Iterator[Site]:
    """Three studies wait, and each is urgent: there is no ordinary one between them."""
    with running(folder, size) as site:
        _queue_three(site, "STAT")
        site.fault(
            site.holds(
                "SELECT 1 FROM jobs WHERE kind = 'analyse' AND state = 'queued' AND priority >= 240 HAVING count(*) = 3"
            )
        )
        site.start()
        site.settle()
        yield site


def _queue_three(site: Site, priority: str = "ROUTINE") -> None:
    """Let three analyses wait for a worker, who is not there."""
    site.kill(GPU)
    for number in range(1, 4):
        site.send_once(site.study(number, RequestedProcedurePriority=priority))  # send() would start the worker again
    routed = "SELECT 1 FROM jobs WHERE kind = 'analyse' AND state = 'queued' HAVING count(*) = 3"
    site.until(partial(site.holds, routed), "the analyses are queued", seconds=60)


def broker_down(folder: Path, size: str) -> Iterator[Site]:
    """The broker goes away with every token in it, and comes back empty."""
    with running(folder, size) as site:
        site.send(site.study(1))
        site.broker_down()
        site.send(site.study(2))
        time.sleep(5)
        site.fault(not site.settled())
        site.broker_up()
        site.send(site.study(3))
        site.settle()
        yield site


def clock_jumps(folder: Path, size: str) -> Iterator[Site]:
    """The wall clock jumps hours, days and a year, both ways, between images and while studies are worked on."""
    clock = WallClock(folder)
    with running(folder, size, environment=clock.environment, quiet_s=2) as site:
        for number, seconds in enumerate((-HOUR_S, DAY_S, -DAY_S, 365 * DAY_S, -365 * DAY_S), start=1):
            paths = site.study(number)
            site.send_once(paths[:4])
            site.fault(len(site.owed(paths)) == 4)
            clock.jump(seconds)
            site.send(paths)
            time.sleep(0.7 * number)
            site.fault(not site.reported(number))
            clock.jump(-seconds // 2)
            site.settle(seconds=120)
        site.archive.stop()
        site.send(site.study(6))
        site.until_reported(6)
        clock.jump(30 * DAY_S)  # while it runs: a sender may look before the clock process has noticed
        time.sleep(3)
        site.kill()
        clock.jump(30 * DAY_S)  # while it is off: nobody can know how long that was
        site.start()
        time.sleep(3)
        site.fault(site.undelivered())
        site.archive.start()
        site.settle(seconds=120)
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
            site.fault(bool(site.owed(paths)) or not site.reported(number))
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
