"""Faults of where results go: an archive that is down, refuses, is full or killed, and a folder that is away."""

import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults import disk
from tests.faults.clock import HOUR_S, WallClock
from tests.faults.site import Site, running


def archive_down_for_days(folder: Path, size: str) -> Iterator[Site]:
    """The archive is down for two and a half days of the wall clock, while studies come and the node is restarted."""
    clock = WallClock(folder)
    with running(folder, size, environment=clock.environment, retry_longest_s=HOUR_S) as site:
        site.archive.stop()
        for number in range(1, 6):
            site.send(site.study(number))
            site.until_reported(number)
            time.sleep(1)
            site.kill()  # to a node that runs, the time that has passed would be a clock that was set
            site.fault(site.undelivered())
            clock.jump(12 * HOUR_S)
            site.start()
        site.archive.start()
        site.kill()
        clock.jump(2 * HOUR_S)
        site.start()
        site.settle()
        yield site


def archive_misbehaves(folder: Path, size: str) -> Iterator[Site]:
    """The archive refuses associations, aborts in the middle of objects, and before it answers."""
    with running(folder, size) as site:
        for number, fault in enumerate(("--refuse", "--abort-during", "--abort-after"), start=1):
            site.archive.stop()
            site.archive.start(fault)
            site.send(site.study(number))
            site.until_reported(number)
            time.sleep(3)
            site.fault(site.undelivered())
        site.archive.stop()
        site.archive.start()
        site.settle()
        yield site


def archive_full(folder: Path, size: str) -> Iterator[Site]:
    """The disk of the archive is full: it breaks off, and keeps a part of a result, until there is room again.

    Without --bit-preserving storescp answers Success there and keeps an empty file: no sender could know.
    """
    with disk.small_disk(folder / "archive", 2), running(folder, size) as site:
        site.archive.stop()
        site.archive.start("--bit-preserving")
        site.send(site.study(1))
        site.settle()
        ballast = disk.fill(folder / "archive")
        for number in (2, 3):
            site.send(site.study(number))
            site.until_reported(number)
        time.sleep(5)
        site.fault(site.undelivered())
        ballast.unlink()
        site.settle()
        yield site


def archive_killed(folder: Path, size: str) -> Iterator[Site]:
    """The archive is killed while it receives, and comes back with what it has."""
    with running(folder, size) as site:
        for number in range(1, 4):
            site.archive.stop()
            site.archive.start("--sleep-during", "1")
            site.send(site.study(number))
            met = site.reach("SELECT 1 FROM outbox WHERE state = 'unknown'")
            time.sleep(0.4 * number)
            site.archive.stop()
            site.fault(met and site.undelivered())
            site.archive.start()
            site.settle()
        yield site


def folder_missing(folder: Path, size: str) -> Iterator[Site]:
    """The volume with the folder that results are copied into is away; the node is restarted meanwhile."""
    volume = disk.Volume(folder / "volume", folder / "share")
    volume.attach()
    target = folder / "share" / "results"
    target.mkdir()
    try:
        with running(folder, size, target=target) as site:
            site.send(site.study(1))
            site.settle()
            volume.detach()
            for number in (2, 3):
                site.send(site.study(number))
                site.until_reported(number)
                time.sleep(2)
                site.fault(site.undelivered())
                site.kill()
                site.start()
            volume.attach()
            site.settle()
            yield site
    finally:
        volume.detach()
