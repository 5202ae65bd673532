"""The table of the scenarios: each is a function that does something to a node, and leaves it able to go on.

A scenario sends studies, has its faults, says of each with Site.fault() whether it struck, and ends when the node has
settled; the books are done afterwards. To add one: write a function in one of the three modules and name it here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults import of_the_destination as destination
from tests.faults import of_the_machine as machine
from tests.faults import of_the_senders as senders
from tests.faults.site import APART, ONE, SIZES, Site


@dataclass(frozen=True)
class Scenario:
    """A row of the table. short: the kinds of node with which every run of the tests plays it, in some seconds."""

    name: str
    play: Callable[[Path, str], Iterator[Site]]
    sizes: tuple[str, ...] = SIZES
    short: tuple[str, ...] = ()


SCENARIOS = (
    Scenario("data volume missing, restart without it", machine.volume_missing),
    Scenario("disk full in mid-image", machine.disk_full_mid_image, short=(ONE,)),
    Scenario("disk full while a study is worked on", machine.disk_full_while_working),
    Scenario("kill -9 while receiving", machine.kill_while_receiving),
    Scenario("kill -9 of every process at every stage", machine.kill_at_every_stage),
    Scenario("a worker stands still at every stage", machine.worker_stands_still, sizes=(APART,)),
    Scenario("a model hangs", machine.model_hangs),
    Scenario("everything ends at once", machine.lights_out),
    Scenario("database down and back", machine.database_down),
    Scenario("models away when they are needed", machine.models_away, sizes=(APART,)),
    Scenario("only urgent studies wait", machine.only_urgent_work, sizes=(APART,)),
    Scenario("broker down and back", machine.broker_down, sizes=(APART,)),
    Scenario("wall clock jumps", machine.clock_jumps),
    Scenario("archive down for 2.5 days", destination.archive_down_for_days),
    Scenario("archive refuses and aborts", destination.archive_misbehaves),
    Scenario("archive full", destination.archive_full),
    Scenario("archive killed while it receives", destination.archive_killed),
    Scenario("folder for results missing", destination.folder_missing),
    Scenario("late slices", senders.late_slices, short=(APART,)),
    Scenario("a slice comes at every stage", senders.slices_come_during_the_work),
    Scenario("the same study three times", senders.same_study_three_times),
    Scenario("two senders of one study", senders.two_senders),
    Scenario("corrected demographics", senders.corrected_demographics),
    Scenario("two patients in one study, other pixels", senders.two_patients_in_one_study),
    Scenario("wire cut in mid-image, slow wire", senders.wire_cut, short=(ONE,)),
)
