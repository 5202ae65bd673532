"""The hostile corpus through everything that reads, and some runs of the fuzzer."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_ai.storage.files import FileStore
from tests.fuzz import targets
from tests.peers import REPOSITORY

RUNS = 3000
MOST_MEMORY_KB = 1_000_000

FINDINGS = {
    "a command element that is half a number": (
        "messages",
        "00031700000003010000000000000000000000000000000000000000000000000100000400",
        "aborted",
    ),
    "a command sequence without its items": (
        "messages",
        "00000300170400000007070707070707070707070707554e0003ffffffffffffffffffffffffff1700000707070707070707"
        "070707070707070707070707070707070700000707070707070700000000000000",
        "aborted",
    ),
    "a deflated header that is cut where its elements end": (
        "data_set",
        "03ed8e414b033110855fd75a42ad251629e229c79e4212eab65e84da8abbb0db945d8a088bb5873d8882d2eec5937fd59fe2"
        "eb8a5ef41fe884246fe69b4c9ec03ea6791b71ee5771a6ecb91310acf4e0b3f83a9e4f926291c5e924bb2d52813e96f129ac"
        "766a3c34da1a63c6fa4c5b3de4e6c99727ece87f76b8501b1d86a1b6d6ed38a9c26c22e08c0b8db54660813c0a301a09dcf3"
        "cf006900",
        "NotDicom",
    ),
}
"""What the fuzzer found: name -> the function it broke, the bytes, and what becomes of them now."""


def test_the_corpus_is_answered_in_bounded_memory() -> None:
    """Each object is kept or refused; the process that looks at them all neither ends, nor hangs, nor grows."""
    looked = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.fuzz.look"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [json.loads(line) for line in looked.stdout.splitlines()]

    assert looked.returncode == 0, looked.stderr[-2000:]
    assert len(lines) > 100
    assert all(line["outcome"] for line in lines)
    assert max(line["peak_kb"] for line in lines) < MOST_MEMORY_KB


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("target", "found", "outcome"), FINDINGS.values(), ids=FINDINGS)
def test_what_was_found_once_is_answered(target: str, found: str, outcome: str, tmp_path: Path) -> None:
    assert targets.TARGETS[target](FileStore(tmp_path), bytes.fromhex(found)) == outcome


needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: it has no build for this Python or this machine",
)


@needs_atheris
def test_an_error_without_a_traceback_is_reported_as_what_it_is(tmp_path: Path) -> None:
    """One that C code raises before any frame of Python; atheris by itself calls it its own."""
    script = (
        "import atheris, operator; from tests.fuzz.targets import reporting;"
        "atheris.Setup(['fuzz', '-runs=1', '-artifact_prefix={}/'], reporting(operator.itemgetter('x')));"
        "atheris.Fuzz()"
    )
    fuzzed = subprocess.run(
        [sys.executable, "-c", script.format(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )

    assert "TypeError: byte indices must be integers or slices, not str" in fuzzed.stderr
    assert "Unable to convert call argument" not in fuzzed.stdout + fuzzed.stderr


@needs_atheris
@pytest.mark.parametrize("target", targets.TARGETS)
def test_the_fuzzer_finds_nothing_in_some_runs(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.fuzz", target, str(tmp_path / "corpus")]
    fuzzed = subprocess.run(
        [*command, f"-runs={RUNS}", "-seed=1", f"-artifact_prefix={tmp_path}/"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert fuzzed.returncode == 0, fuzzed.stderr[-3000:]
