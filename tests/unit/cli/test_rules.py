"""`dicom-ai rules` for people and for scripts."""

import json

import pytest
from click.testing import CliRunner

from dicom_ai.cli.rules import command
from dicom_ai.errors import RuleError
from dicom_ai.routing.shipped import read_rules
from tests import builders

NECK = {"SeriesDescription": "T2 sag cspine", "BodyPartExamined": "CSPINE"}
BRAIN = {"SeriesDescription": "T2 FLAIR", "BodyPartExamined": "HEAD"}

OWN_RULE = """
[[rule]]
name = "echo"
model = "own"
all = [{ keyword = "EchoTime", range = { below = 60 } }]
"""

HERE = OWN_RULE.replace('"own"', '"spinal-cord"')
"""The same with a model that is installed."""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "dicom-ai.toml"
    destination = f'[[destinations]]\nname = "pacs"\nkind = "folder"\nparameters = {{ folder = "{tmp_path}" }}\n'
    file.write_text(f'[storage]\ndata_dir = "{tmp_path / "node"}"\n{destination}')
    (tmp_path / "node").mkdir()
    return file


@pytest.fixture
def own_rules(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(OWN_RULE)
    return file


def run(*arguments: object, answer: str = ""):
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, words, input=answer, catch_exceptions=False)


def versions(config):
    """Return number, who and why of every version."""
    rows = json.loads(run("list", "--versions", "--config", config, "--json").stdout)
    return [(row["version"], row["who"], row["why"]) for row in rows]


def tried(*arguments: object):
    result = run("test", *arguments, "--json")

    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_test_tells_one_object_per_series(tmp_path):
    builders.write(builders.mr_series(plane="sagittal", **NECK), tmp_path / "neck")
    builders.write(builders.mr_series(plane="axial", **BRAIN), tmp_path / "brain")

    brain, neck = tried(tmp_path / "brain", tmp_path / "neck")

    assert (neck["rules"], neck["models"]) == (["cord", "spine"], ["spinal-cord", "spine-mr"])
    assert (brain["rules"], brain["models"]) == ([], [])
    assert [reason["rule"] for reason in brain["reasons"]] == ["cord", "spine", "spine-radiograph"]
    assert brain["reasons"][2]["failed"][0]["predicate"] == "Modality in ['CR', 'DX']"
    assert brain["reasons"][2]["failed"][0]["seen"] == "MR"


def test_enhanced_mr_is_routed_like_classic(tmp_path):
    builders.write(builders.enhanced_mr(plane="sagittal", **NECK), tmp_path / "enhanced")

    (series,) = tried(tmp_path / "enhanced")

    assert series["models"] == ["spinal-cord", "spine-mr"]


def test_a_single_file_is_routed(tmp_path):
    first = builders.write(builders.mr_series(plane="axial", **NECK), tmp_path / "neck")[0]

    assert tried(first)[0]["models"] == ["spinal-cord"]


def test_test_tries_other_rules_and_names_the_value_it_saw(tmp_path, own_rules):
    builders.write(builders.mr_series(EchoTime="90", **NECK), tmp_path / "neck")

    (series,) = tried(tmp_path / "neck", "--rules", own_rules)

    (failed,) = series["reasons"][0]["failed"]
    assert failed["text"] == "all[1]: EchoTime range below 60 is not true; seen: 90"


def test_test_reads_well_for_people(tmp_path):
    builders.write(builders.mr_series(plane="axial", **NECK), tmp_path / "neck")

    lines = run("test", tmp_path / "neck").stdout.splitlines()

    assert "T2 sag cspine" in lines[0]
    assert "  cord: taken, goes to spinal-cord" in lines
    assert "  spine: not taken" in lines


def test_what_is_no_dicom_is_named_and_left_out(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")

    result = run("test", tmp_path, "--json")

    assert json.loads(result.stdout) == []
    assert "notes.txt" in result.stderr


def test_check_takes_the_shipped_rules_and_refuses_malformed_ones(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text(OWN_RULE.replace("EchoTime", "EchoTimes"))

    assert "3 rules are well formed" in run("check").stdout
    with pytest.raises(RuleError, match=r"bad.toml: rule 'echo', all\[1\]: unknown DICOM keyword 'EchoTimes'"):
        run("check", bad)


def test_check_warns_of_what_cannot_match_and_of_absent_models(own_rules):
    own_rules.write_text(OWN_RULE + 'none = [{ keyword = "EchoTime", range = { below = 60 } }]\n')

    warnings = json.loads(run("check", own_rules, "--json").stdout)["warnings"]

    assert "can never match" in warnings[0]
    assert "'own', which is not installed" in warnings[1]


def test_a_new_node_lists_the_shipped_rules_in_shadow(config):
    listed = json.loads(run("list", "--config", config, "--json").stdout)

    assert listed["version"] == 0
    assert {rule["state"] for rule in listed["rule"]} == {"shadow"}


def test_rules_are_imported_exported_and_kept_in_versions(config, own_rules, tmp_path):
    own_rules.write_text(HERE)
    run("import", own_rules, "--config", config, "--who", "ada", "--why", "short echoes only", answer="y")
    run("export", tmp_path / "out.toml", "--config", config)

    assert read_rules(tmp_path / "out.toml") == read_rules(own_rules)
    assert versions(config) == [(1, "ada", "short echoes only")]
    assert run("show", "echo", "--config", config).stdout.startswith('[[rule]]\nname = "echo"')
    assert "version 1" in run("list", "--config", config).stdout


def test_import_shows_what_would_change_and_a_no_keeps_the_rules(config, own_rules):
    own_rules.write_text(HERE)

    refused = run("import", own_rules, "--config", config, answer="n")
    nobody = run("import", own_rules, "--config", config)
    only_tried = run("import", own_rules, "--config", config, "--dry-run")

    assert {"echo: new, on", "cord: is gone"} <= set(refused.stdout.splitlines())
    assert "results of echo are sent from then on" in refused.stdout
    assert "tried on 0 series of 0 studies of the last 7 days" in only_tried.stdout
    assert (refused.exit_code, nobody.exit_code, only_tried.exit_code) == (1, 1, 0)
    assert versions(config) == []


def test_what_was_saved_without_a_question_says_so(config, own_rules):
    own_rules.write_text(HERE)
    run("import", own_rules, "--config", config, "--who", "cron", "--yes")

    assert versions(config) == [(1, "cron", "imported from own.toml; --yes: nobody was asked after the dry run")]


def test_a_rule_that_cannot_work_here_is_refused_as_on_the_page(config, own_rules):
    with pytest.raises(RuleError, match="'echo', model: model 'own' is not installed here"):
        run("import", own_rules, "--config", config, "--yes")


def test_a_malformed_file_changes_nothing(config, own_rules):
    own_rules.write_text(OWN_RULE.replace("below", "under"))

    with pytest.raises(RuleError, match="unknown bound 'under'"):
        run("import", own_rules, "--config", config)
    assert json.loads(run("list", "--config", config, "--json").stdout)["version"] == 0


def test_a_rule_is_turned_on_after_a_question_and_the_rest_stays_in_shadow(config):
    turned = run("turn", "cord", "on", "--config", config, "--who", "ada", answer="y")

    states = [line.split()[1] for line in run("list", "--config", config).stdout.splitlines()[1:]]
    assert "cord: state shadow → on" in turned.stdout
    assert "rules version 1: cord is on" in turned.stdout
    assert sorted(states) == ["on", "shadow", "shadow"]
    assert versions(config) == [(1, "ada", "cord turned on")]


def test_a_rule_is_turned_off_at_once_and_rolled_back_after_a_question(config):
    run("turn", "cord", "on", "--config", config, "--yes")
    off = run("turn", "cord", "off", "--config", config, "--why", "too many")
    no, yes = (run("roll-back", 1, "--config", config, answer=answer) for answer in "ny")

    assert "cord is off" in off.stdout
    assert (no.exit_code, yes.exit_code) == (1, 0)
    assert [row[2] for row in versions(config)][:2] == ["rolled back to version 1", "cord turned off: too many"]


def test_a_rule_that_is_not_there_cannot_be_turned(config):
    with pytest.raises(RuleError, match="nothing"):
        run("turn", "nothing", "on", "--config", config)
