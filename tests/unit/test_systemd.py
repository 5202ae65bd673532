import subprocess
from pathlib import Path

import pytest

from dicom_ai.cli import COMMANDS
from tests.peers import REPOSITORY, need_program

FOLDER = REPOSITORY / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
INSTALLED = "/opt/dicom-ai/bin/dicom-ai"


def lines(unit: Path, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{key}=")]


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    program = need_program("systemd-analyze", package="systemd")
    copies = []
    for unit in [*UNITS, FOLDER / "dicom-ai.target"]:
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace(INSTALLED, "/bin/true"))  # the node is not installed where tests run
        copies.append(str(copy))

    outcome = subprocess.run([program, "verify", *copies], capture_output=True, text=True)

    assert (outcome.returncode, outcome.stdout + outcome.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_there_is(unit: Path) -> None:
    (command,) = lines(unit, "ExecStart")
    program, verb = command.split()[:2]

    assert program == INSTALLED
    assert verb in COMMANDS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_restarted_and_may_write_to_its_data_only(unit: Path) -> None:
    assert lines(unit, "Restart") == ["always"]
    assert lines(unit, "ProtectSystem") == ["strict"]
    assert lines(unit, "NoNewPrivileges") == ["yes"]
    assert lines(unit, "StateDirectory") == ["dicom-ai"]
    assert lines(unit, "User") == ["dicom-ai"]


def test_there_is_one_gpu_worker_per_gpu() -> None:
    assert lines(FOLDER / "dicom-ai-worker-gpu@.service", "Environment")[-1] == "CUDA_VISIBLE_DEVICES=%i"


def test_the_target_wants_every_part_that_is_not_per_gpu() -> None:
    (wanted,) = lines(FOLDER / "dicom-ai.target", "Wants")
    parts = {unit.name for unit in UNITS} - {"dicom-ai-worker-gpu@.service", "dicom-ai-serve.service"}

    assert set(wanted.split()) == parts
