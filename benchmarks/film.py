"""How long the shipped radiograph model takes for one lateral film of 2,750 x 1,160 pixels, and the memory it needs.

The film is one of `--data`, a full spine, or without it noise in which no column is found: then only the first pass is
timed. The time is that of the prediction, from pixels to labelled bodies and their findings; reading and writing DICOM
are not in it. The load of the machine is printed: a busy one says little.

python benchmarks/film.py --data ../shared/data --threads 4
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.measurements.radiograph_findings import radiograph_findings

SHAPE = (2750, 1160)
FILM = "lateral_04.png"
"""One that the shipped weights have not seen."""


def film(data: Path | None) -> np.ndarray:
    """Return the pixels of a film of about SHAPE."""
    if data is None:
        return np.random.default_rng(0).normal(0.5, 0.1, SHAPE).astype(np.float32)
    from PIL import Image

    with Image.open(data / "radiographs" / FILM) as image:
        return np.asarray(image.convert("L"), np.float32)


def peak_gib() -> float:
    """Return the most memory that this process has held; ru_maxrss would begin with that of the one that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    predictor = ModelStore(default_models_folder(), device="cpu", threads=options.threads).load("spine-xray")
    image = SourceImage("1", "2", Radiograph(film(options.data)), (SourceFrame("1", "2"),))
    for _ in range(options.repeats):
        began, cpu = time.perf_counter(), time.process_time()
        result = predictor.predict(image)
        findings = radiograph_findings(image, result)
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        rows, columns = image.image.pixels.shape
        print(f"{rows} x {columns}: {len(findings)} findings, {wall:.1f} s, {used:.1f} s of CPU time")
    print(f"peak memory of the process: {peak_gib():.2f} GiB; load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
