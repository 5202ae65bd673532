"""What every command that stays does first."""

import subprocess
import sys
from pathlib import Path

import pytest

from dicom_ai.cli._process import MOST_HEAPS

FORTY_THREADS = """
import ctypes, pathlib, sys, threading
from dicom_ai.cli._process import begin
if sys.argv[1]:
    begin(pathlib.Path(sys.argv[1]))
gate = threading.Barrier(41)
def run():
    kept = [bytes(4000) for _ in range(10)]
    gate.wait()
    gate.wait()
threads = [threading.Thread(target=run) for _ in range(40)]
for thread in threads:
    thread.start()
gate.wait()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
gate.wait()
"""


def heaps(config: str) -> int:
    """Return how many heaps the C library has while forty threads hold memory."""
    script = [sys.executable, "-c", FORTY_THREADS, config]
    return subprocess.run(script, check=True, capture_output=True, text=True).stdout.count("<heap nr=")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc says how many heaps it has")
def test_forty_associations_share_two_heaps(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'[storage]\ndata_dir = "{tmp_path}"\n')

    assert heaps("") > MOST_HEAPS
    assert heaps(str(config)) <= MOST_HEAPS
