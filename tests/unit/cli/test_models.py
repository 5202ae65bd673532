"""`dicom-ai models` for people and for scripts."""

import json

import pytest
from click.testing import CliRunner

from dicom_ai.cli.models import command
from tests.unit.inference.models import model_folder, threshold_graph


@pytest.fixture
def folder(tmp_path):
    model_folder(tmp_path / "bright", threshold_graph(50.0), options='activation = "sigmoid"')
    return tmp_path


def run(*arguments: object, **env: str):
    return CliRunner(env=env).invoke(command, [str(argument) for argument in arguments])


def test_list_names_the_models(folder):
    result = run("list", "--models", folder)

    assert result.exit_code == 0
    assert result.output.split()[:3] == ["bright", "1.0", "segmentation"]
    assert "Everything brighter than a limit" in result.output


def test_list_for_scripts(folder):
    (folder / "broken").mkdir()
    (folder / "broken" / "model.toml").write_text("=")

    rows = json.loads(run("list", "--json", "--models", folder).output)

    assert [(row["name"], row["valid"]) for row in rows] == [("bright", True), ("broken", False)]
    assert rows[0]["segments"] == ["Bright tissue"]
    assert rows[0]["modalities"] == ["MR"]
    assert "not valid TOML" in rows[1]["says"]


def test_the_folder_can_come_from_the_settings(folder, tmp_path):
    settings = tmp_path / "dicom-ai.toml"
    settings.write_text(f'[models]\ndirectory = "{folder}"\ndevice = "cpu"\n')

    assert "bright" in run("list", DICOM_AI_MODELS__DIRECTORY=str(folder)).output
    assert "runs on CPU" in run("check", "--config", settings).output


def test_a_runtime_that_does_not_exist_is_misuse(folder):
    assert run("check", "--models", folder, "--runtime", "tensorrt").exit_code == 2


def test_an_empty_folder_says_so(tmp_path):
    result = run("list", "--models", tmp_path)

    assert result.exit_code == 0
    assert result.output.strip() == f"no models in {tmp_path}"


def test_check_says_what_a_good_model_runs_on(folder):
    result = run("check", "--models", folder, "--device", "cpu")

    assert result.exit_code == 0
    assert "bright 1.0: ok, runs on CPU with ONNX Runtime" in result.output
    assert "weights: Apache-2.0" in result.output


def test_check_fails_and_names_what_to_do(folder):
    (folder / "bright" / "weights.onnx").write_bytes(b"")

    result = run("check", "bright", "--models", folder)

    assert result.exit_code == 1
    assert "bright: cannot serve" in result.output
    assert "copy the file again, or name the new digest" in result.output


def test_check_for_scripts(folder):
    (row,) = json.loads(run("check", "--json", "--models", folder, "--device", "cpu").output)

    assert (row["name"], row["ok"], row["device"], row["problems"]) == ("bright", True, "CPU", [])


def test_check_of_an_unknown_model_names_those_there_are(folder):
    result = run("check", "spine", "--models", folder)

    assert result.exit_code == 1
    assert "no model 'spine'; there is bright" in result.output


def test_check_of_an_empty_folder_fails(tmp_path):
    result = run("check", "--models", tmp_path)

    assert result.exit_code == 1
    assert "put a model folder there" in result.output
