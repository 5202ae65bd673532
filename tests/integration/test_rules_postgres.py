"""The pages of the rules on PostgreSQL: who saves first is the only one, and what is counted and listed is the same."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from dicom_ai.errors import ConfigError
from dicom_ai.pipeline import route
from dicom_ai.pipeline.dry_run import Bounds, try_rules
from dicom_ai.storage import rules, rules_values
from dicom_ai.storage.rules import Hits
from dicom_ai.storage.rules_values import Occurred
from tests.integration.servers import postgres
from tests.unit.pipeline.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A node that has routed one series, and whose images are gone."""
    with postgres() as url:
        lab = Lab(tmp_path_factory.mktemp("lab"), database_url=url)
        lab.rule(state="shadow")
        lab.receive(StationName="MR02")
        lab.advance(60)
        route.run(lab.router)
        for path in lab.files.root.glob("received/*/*.dcm"):
            path.unlink()
        yield lab
        lab.database.close()


def test_rules_are_tried_by_what_was_kept(lab: Lab) -> None:
    before = lab.look(rules.in_force).rule_set

    trial = try_rules(lab.database, Path, before, before.with_state("cord", "on"), Bounds(0, most_s=60))

    assert [(one.before, one.after) for one in trial.differences] == [("shadow", "sent")]


def test_what_occurred_and_what_a_rule_took_are_counted(lab: Lab) -> None:
    occurred = rules_values.occurrences(lab.database, ["StationName", "plane"], days=1)
    hits = lab.look(rules.daily_hits, [lab.at - 86_400, lab.at - 3600, lab.at + 1])

    assert occurred.values == {"StationName": (Occurred("MR02", 1),), "plane": (Occurred("axial", 1),)}
    assert hits == {"cord": (Hits(0, 0), Hits(sent=0, shadow=1))}


def test_of_two_who_saw_the_same_version_one_is_refused(lab: Lab) -> None:
    seen = lab.look(rules.in_force).version
    together = Barrier(2)

    def turn(state: str) -> str:
        together.wait(30)
        try:
            with lab.database.write() as session:
                rules.require_newest(session, seen)
                rules.turn(session, "cord", state, author=state)
        except ConfigError:
            return "refused"
        return "saved"

    with ThreadPoolExecutor(2) as people:
        ends = sorted(people.map(turn, ("on", "off")))

    assert ends == ["refused", "saved"]
    assert lab.look(rules.in_force).version == seen + 1
