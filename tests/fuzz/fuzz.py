"""Coverage-guided fuzzing of what reads bytes of strangers: the data sets, and the messages that carry them.

python -m tests.fuzz.fuzz data_set|messages FOLDER [-max_total_time=600 and other options of libFuzzer]

FOLDER keeps the corpus between runs; an empty one is filled with the hostile corpus. A finding ends the run with the
bytes in a file crash-*: anything but an answer or an error of ours.
"""

import shutil
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pydicom", "pynetdicom", "dicom_ai.dimse", "dicom_ai.dicom"]):
    from tests.fuzz import targets

from dicom_ai.storage.files import FileStore


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    target, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        for number, seed in enumerate(targets.seeds(target)):
            (folder / f"seed-{number:03}").write_bytes(seed)
    root = folder.with_name(f"{folder.name}-store")  # one for each corpus: two fuzzers must not clear each other's
    shutil.rmtree(root, ignore_errors=True)
    files = FileStore(root)
    arguments = [sys.argv[0], str(folder), "-rss_limit_mb=2048", "-timeout=20", "-max_len=65536", *sys.argv[3:]]
    atheris.Setup(arguments, targets.reporting(lambda data: targets.TARGETS[target](files, data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
