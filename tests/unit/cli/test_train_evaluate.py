"""The commands train and evaluate: misuse, and models without a recipe."""

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="the extra [train] is not installed")

from dicom_ai.cli.evaluate import _csv
from dicom_ai.cli.evaluate import command as evaluate
from dicom_ai.cli.train import command as train
from dicom_ai.errors import ConfigError
from dicom_ai.training.recipes import RECIPES, Report


def test_a_model_without_a_recipe_is_named_with_those_that_have_one(tmp_path):
    result = CliRunner().invoke(train, ["spleen", "--data", str(tmp_path)])

    assert isinstance(result.exception, ConfigError)
    assert "spinal-cord" in str(result.exception)


def test_an_unknown_configuration_is_a_misuse(tmp_path):
    result = CliRunner().invoke(train, ["spinal-cord", "--data", str(tmp_path), "--config", "huge"])

    assert result.exit_code == 2
    assert "'huge' is not one of compact, paper, paper-384" in result.output


def test_data_that_do_not_exist_are_a_misuse(tmp_path):
    result = CliRunner().invoke(evaluate, ["spinal-cord", "--data", str(tmp_path / "nowhere")])

    assert result.exit_code == 2


def test_every_recipe_is_for_a_model_that_is_documented():
    assert set(RECIPES) >= {"spinal-cord"}


def test_a_report_becomes_csv_with_a_column_for_each_score():
    report = Report(("image", "dice"), ({"image": "a", "dice": 0.5}, {"image": "b", "dice": None}))

    assert _csv(report) == "image,dice\na,0.5\nb,\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["spine-mr"], "--data is missing"),
        (["spine-mr", "--mean-of", "."], "at least two model folders"),
        (["spine-mr", "--mean-of", ".", "--mean-of", "."], "with --deliver"),
        (["spinal-cord", "--mean-of", ".", "--mean-of", ".", "--deliver", "out"], "averages no weights"),
    ],
)
def test_what_is_missing_for_a_training_or_a_mean_is_said(arguments, said):
    result = CliRunner().invoke(train, arguments)

    assert result.exit_code == 2
    assert said in result.output
