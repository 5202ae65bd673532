"""The checks of the house as tests, so that one command runs everything."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "style": ["ruff", "check", "."],
    "types": ["mypy", "dicom_ai"],
    "floors": ["lint-imports"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_house_is_in_order(name: str) -> None:
    program, *arguments = CHECKS[name]

    check = subprocess.run([BIN / program, *arguments], cwd=REPOSITORY, capture_output=True, text=True)

    assert check.returncode == 0, check.stdout + check.stderr


def test_python_lives_only_in_the_package_tests_and_benchmarks() -> None:
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=REPOSITORY, capture_output=True, text=True)

    elsewhere = [f for f in tracked.stdout.split() if f.split("/")[0] not in {"dicom_ai", "tests", "benchmarks"}]

    assert elsewhere == []
