"""Faults of those who send: late, again, twice at a time, with another patient, over a wire that breaks."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.faults.site import Site, running
from tests.faults.wire import Wire
from tests.integration.test_processes import STAGES


def late_slices(folder: Path, size: str) -> Iterator[Site]:
    """Slices come after the report: it is superseded once, and the new one names the old."""
    with running(folder, size) as site:
        paths = site.study(1, images=10, versions=2)
        site.send(paths[:8])
        site.settle()
        site.fault(site.reported(1))
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
            site.fault(site.reach(query))
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
        site.fault(site.ledger.statuses[0] == 4 * len(paths))
        time.sleep(3)
        site.settle()
        yield site


def two_senders(folder: Path, size: str) -> Iterator[Site]:
    """Two senders send one study at once, in opposite orders, and a third its middle: images meet themselves."""
    with running(folder, size) as site:
        for number in range(1, 4):
            paths = site.study(number, images=20)
            before = site.ledger.statuses[0]
            senders = [threading.Thread(target=site.send, args=(order,)) for order in (paths, paths[::-1], paths[5:15])]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            site.fault(site.ledger.statuses[0] - before > len(paths))
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
                site.until_reported(number)
            else:
                site.settle()
            site.fault(site.reported(number))
            site.send(site.corrected(number))
            site.ledger.note_corrected(f"1.2.826.0.1.{number}")
            if down_before:
                site.archive.start()
            site.until_reported(number, again=True)
            site.settle()
        yield site


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
            site.fault(site.holds(held))
        time.sleep(8)
        yield site


def wire_cut(folder: Path, size: str) -> Iterator[Site]:
    """The wire of a sender is cut in the middle of images, at many places, and carries slowly."""
    with running(folder, size, quiet_s=8) as site:
        wire = Wire(site.port)
        paths = site.study(1, images=12, side=128)
        for cut_after in range(1_000, 100_000, 9_000):
            wire.cut_after = cut_after
            site.send_once(paths, port=wire.port)
            site.fault(bool(site.owed(paths)))
        wire.cut_after, wire.delay_s = None, 0.002
        slow = site.study(2, images=6, side=128)
        site.send_once(slow, port=wire.port)
        wire.close()
        site.send(paths)
        site.send(slow)
        site.settle()
        yield site
