"""How long the shipped cord model takes for one neck of 384 x 195 x 52 voxels of 1 mm, and the memory it needs.

The neck is made from formulas. The peak is of the whole process, the phantom included; shorter fields of view show how
the time grows with the length of the neck.

python benchmarks/cord.py --threads 4
"""

import argparse
import time
from pathlib import Path

from dicom_ai.domain.image import SourceImage
from dicom_ai.imaging.neck_phantom import NeckShape, neck_phantom, sagittal_grid
from dicom_ai.inference.registry import ModelStore, default_models_folder

WIDE_MM, HIGH_MM, DEEP_MM = 52.0, 195.0, 384.0


def seconds(predictor, share: float, repeats: int) -> float:
    """Return the shortest time over the upper share of the neck."""
    grid = sagittal_grid(NeckShape(), extent_mm=(WIDE_MM, share * HIGH_MM, DEEP_MM))
    image = SourceImage("1", "2", neck_phantom(NeckShape(), grid).image, ())
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = predictor.predict(image)
        times.append(time.perf_counter() - begin)
        assert result.segments
    print(f"{grid.shape[0]} x {grid.shape[1]} x {grid.shape[2]}: {min(times):.1f} s, shortest of {repeats}")
    return min(times)


def peak_gib() -> float:
    """Return the most memory that this process has held; ru_maxrss would begin with that of the one that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runtime", default="onnx", choices=["onnx", "torch"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    store = ModelStore(default_models_folder(), device=options.device, runtime=options.runtime, threads=options.threads)
    predictor = store.load("spinal-cord")
    reference = predictor.reference
    print(f"{reference.name} {reference.version} on {reference.device} ({', '.join(reference.notes)})")
    for share in (0.25, 0.5, 1.0):
        seconds(predictor, share, options.repeats)
    print(f"peak memory of the process: {peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
