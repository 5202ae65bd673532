"""Looks at every object of the corpus as receiving and routing do, in one process whose memory is bounded.

python -m tests.fuzz.look: prints one line of JSON per object; a crash, a hang or an error that is not ours ends it.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from dicom_ai.dicom.headers import read_instance
from dicom_ai.dicom.pixels import read_frames
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.dimse.datastream import identify
from dicom_ai.domain.study import Series
from dicom_ai.errors import RejectedInput
from tests.fuzz.corpus import Hostile, hostile
from tests.integration.listening import file_of

MOST_BYTES = 3 << 30
"""Address space of the process: the libraries themselves take half of it."""


def look_at(one: Hostile, path: Path) -> str:
    """Return what became of an object: kept, or why it was refused."""
    file_of(path, one.data, sop_instance_uid=one.sop_instance_uid, transfer_syntax_uid=one.transfer_syntax_uid)
    start = path.stat().st_size - len(one.data)
    try:
        identity = identify(path, start=start, transfer_syntax_uid=one.transfer_syntax_uid)
        instance = read_instance(path)
        read_frames(instance)
        read_volume(Series(identity.study_uid, identity.series_uid, (instance, instance)))
    except RejectedInput as error:
        return f"{type(error).__name__}: {error}"
    return "kept"


def peak_kb() -> int:
    """Return the most memory that this process has held; ru_maxrss would begin with that of the one that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    """Look at all of them."""
    objects = list(hostile()) if len(sys.argv) == 1 else [one for one in hostile() if sys.argv[1] in one.name]
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        for one in objects:
            begun = time.monotonic()
            outcome = look_at(one, Path(folder) / "object")
            line = {
                "object": one.name,
                "outcome": outcome,
                "s": round(time.monotonic() - begun, 2),
                "peak_kb": peak_kb(),
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
