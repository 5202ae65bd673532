"""A worker process of queue gpu whose models answer at once, or after some seconds: python -m ... SETTINGS SECONDS.

Models with the names of models_that_fail fail in their way.
"""

import sys
from functools import partial
from pathlib import Path

from dicom_ai.cli._process import stop_event
from dicom_ai.node import WorkPart, open_part, run_until
from dicom_ai.settings import read_settings
from tests.integration.models_that_fail import FailingModels


def main() -> None:
    stop = stop_event()
    app = open_part(read_settings(Path(sys.argv[1])))
    part = WorkPart(app, ["gpu"], open_models=partial(FailingModels, float(sys.argv[2])))
    part.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    run_until(part, stop)
    app.close()


if __name__ == "__main__":
    main()
