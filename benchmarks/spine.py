"""How long the shipped spine model takes for a lumbar series, and the memory that it needs.

Two series: 15 slices of 512 x 512 pixels, as a scanner makes them, and 77 x 224 x 224 voxels of 1 mm. The column is
drawn: bodies, discs and canal on a noisy ground, so that the whole way is gone. CPU seconds are those of the process,
whatever else the machine does; the peak (VmHWM) is of the whole process, the drawing included. Run it once for each
series: the peak of the first would stand in the second.

python benchmarks/spine.py clinical --threads 4
python benchmarks/spine.py isotropic --threads 4
"""

import argparse
import time
from pathlib import Path

import numpy as np

from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.inference.registry import ModelStore, default_models_folder

SERIES = {"clinical": ((15, 512, 512), (4.4, 0.55, 0.55)), "isotropic": ((77, 224, 224), (1.0, 1.0, 1.0))}
"""Name -> shape and spacing in mm: slices, rows, columns."""

BODY_MM, DISC_MM = 26.0, 9.0
BACKGROUND, BONE, DISC, FLUID = 60.0, 110.0, 190.0, 250.0


def column(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Volume:
    """Return a drawn lumbar column in the middle of a sagittal series."""
    places = [(np.arange(n) + 0.5) * step for n, step in zip(shape, spacing_mm, strict=True)]
    across = np.abs(places[0] - places[0].mean())[:, None, None]
    along, depth = places[1][None, :, None], (places[2] - places[2].mean())[None, None, :]
    inside = (across < 22) & (np.abs(depth) < 17)
    bone = (along % (BODY_MM + DISC_MM)) < BODY_MM
    image = np.full(shape, BACKGROUND, np.float32)
    image[np.broadcast_to(inside & bone, shape)] = BONE
    image[np.broadcast_to(inside & ~bone, shape)] = DISC
    image[np.broadcast_to((across < 9) & (np.abs(depth - 27) < 7), shape)] = FLUID
    image += np.random.default_rng(0).normal(0, 5, shape).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]) * np.array(spacing_mm)
    return Volume(image, affine)


def peak_gib() -> float:
    """Return the largest resident size that this process has had, as the kernel counts it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", choices=SERIES)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runtime", default="onnx", choices=["onnx", "torch"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    store = ModelStore(default_models_folder(), device=options.device, runtime=options.runtime, threads=options.threads)
    predictor = store.load("spine-mr")
    image = SourceImage("1", "2", column(*SERIES[options.series]), ())
    times = []
    for _ in range(options.repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = predictor.predict(image)
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
        assert len(result.vertebrae) >= 4, result.notes
    reference = predictor.reference
    print(f"{reference.name} {reference.version} on {reference.device} ({', '.join(reference.notes)})")
    print(f"{' x '.join(str(n) for n in SERIES[options.series][0])}: {len(result.vertebrae)} vertebrae found")
    print(f"{min(t[0] for t in times):.1f} s, {min(t[1] for t in times):.1f} CPU seconds, shortest of {len(times)}")
    print(f"peak memory of the process (VmHWM): {peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
