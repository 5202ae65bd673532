"""A worker process of queue gpu whose models answer at once, or after some seconds: python -m ... SETTINGS SECONDS."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dicom_ai.cli._process import stop_event
from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import SourceImage
from dicom_ai.inference.predictor import Progress
from dicom_ai.node import WorkPart, open_part, run_until
from dicom_ai.settings import read_settings
from tests.predictors import BrightCord


@dataclass(frozen=True)
class SlowCord(BrightCord):
    """A model that takes its time."""

    seconds: float = 0.0

    def predict(self, image: SourceImage, *, progress: Progress | None = None) -> Segmentation:
        time.sleep(self.seconds)
        return super().predict(image, progress=progress)


@dataclass(frozen=True)
class SlowModels:
    """A model store in which every name is such a model."""

    seconds: float

    def names(self) -> tuple[str, ...]:
        return ()

    def load(self, name: str) -> SlowCord:
        return SlowCord(name=name, seconds=self.seconds)


def main() -> None:
    stop = stop_event()
    app = open_part(read_settings(Path(sys.argv[1])))
    part = WorkPart(app, ["gpu"], models=SlowModels(float(sys.argv[2])))  # type: ignore[arg-type]
    part.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    run_until(part, stop)
    app.close()


if __name__ == "__main__":
    main()
