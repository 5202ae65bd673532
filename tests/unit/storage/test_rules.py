from dataclasses import replace

import pytest

from dicom_ai.errors import RuleError
from dicom_ai.routing.rule import parse_rules
from dicom_ai.storage import audit, decisions, rules
from dicom_ai.storage.database import Database, now
from dicom_ai.storage.decisions import StoredDecision

WORKING = {"name": "cord", "model": "cord", "all": [{"keyword": "Modality", "equals": "MR"}]}
RULES = {"rules": [{"name": "cord", "state": "shadow"}]}


def test_a_new_database_has_no_rules(database: Database) -> None:
    with database.read() as session:
        assert rules.current(session) is None


def test_every_save_is_a_version_that_says_who(database: Database) -> None:
    with database.write() as session:
        rules.save(session, RULES, author="seed", note="first start")
        rules.save(session, {"rules": []}, author="anna", note="emptied")

    with database.read() as session:
        newest = rules.current(session)
        assert newest is not None
        assert (newest.version, newest.author, newest.content) == (2, "anna", {"rules": []})
        assert rules.version(session, 1).content == RULES
        assert [item.version for item in rules.history(session)] == [2, 1]
        assert [event.actor for event in audit.events(session)] == ["seed", "anna"]


def test_a_version_that_never_was_is_an_error_that_names_it(database: Database) -> None:
    with database.read() as session, pytest.raises(RuleError, match="no version 7"):
        rules.version(session, 7)


def test_the_rules_before_the_first_start_are_the_shipped_ones_and_send_nothing(database: Database) -> None:
    with database.read() as session:
        stored = rules.in_force(session)

    assert stored.version == 0
    assert "on" not in {rule.state for rule in stored.rule_set.rules}


def test_only_so_many_versions_are_listed(database: Database) -> None:
    with database.write() as session:
        for number in range(3):
            rules.save(session, RULES, author="seed", note=str(number))

        assert [item.version for item in rules.history(session, most=2)] == [3, 2]


def test_what_a_rule_took_is_counted_from_a_time_on(database: Database) -> None:
    with database.write() as session:
        taken = [StoredDecision(f"1.{number}", "cord", "cord", True, number > 1, ()) for number in range(5)]
        decisions.replace(
            session, "1", [*taken, StoredDecision("1.9", "cord", "cord", False, False, ())], rules_version=1
        )

        assert rules.hits(session, "cord", since=0) == rules.Hits(sent=2, shadow=3)
        assert rules.hits(session, "cord", since=1e12) == rules.hits(session, "spine", since=0) == rules.Hits(0, 0)


def test_what_a_rule_took_is_counted_by_days(database: Database) -> None:
    with database.write() as session:
        taken = [StoredDecision(f"1.{number}", "cord", "cord", True, number > 1, ()) for number in range(3)]
        decisions.replace(session, "1", taken, rules_version=1)
        at = now(session)

        assert rules.daily_hits(session, [at - 10, at - 5, at + 5]) == {
            "cord": (rules.Hits(0, 0), rules.Hits(sent=2, shadow=1))
        }
        assert rules.daily_hits(session, [at + 5, at + 10]) == {}


def test_rules_are_added_changed_moved_and_removed_each_as_a_version(database: Database) -> None:
    cord, neck = parse_rules({"rule": [WORKING, WORKING | {"name": "neck"}]}).rules
    with database.write() as session:
        rules.save(session, {"rule": [WORKING]}, author="seed", note="first start")
        rules.put(session, neck, author="anna", why="the neck scanner")
        rules.put(session, replace(cord, name="cord-mr"), instead_of="cord", author="anna")
        rules.move(session, "neck", -1, author="anna")
        rules.move(session, "neck", -1, author="anna")
        rules.remove(session, "cord-mr", author="anna", why="not used")

        assert [(item.note, item.rule_set.names) for item in rules.history(session)] == [
            ("cord-mr removed: not used", ("neck",)),
            ("neck moved up", ("neck", "cord-mr")),
            ("cord changed and named cord-mr", ("cord-mr", "neck")),
            ("neck added: the neck scanner", ("cord", "neck")),
            ("first start", ("cord",)),
        ]


def test_what_a_person_was_shown_has_a_fingerprint_of_the_version_and_the_rules() -> None:
    one = parse_rules({"rule": [WORKING]})

    assert rules.fingerprint(1, one) == rules.fingerprint(1, parse_rules({"rule": [WORKING]}))
    assert len({rules.fingerprint(1, one), rules.fingerprint(2, one), rules.fingerprint(1, one.without("cord"))}) == 3
