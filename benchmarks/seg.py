"""How long a SEG of 49 segments on 60 x 512 x 512 takes to make and save, against highdicom alone in the same process.

Both read the headers of the sources from disk, as a worker does; "highdicom" then writes the whole mask. What both
write is compared first, data set for data set.

python -m benchmarks.seg
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.dicom import seg_writer
from dicom_ai.dicom.source_headers import source_headers
from dicom_ai.domain.findings import Segmentation, Structure, StructureKind
from dicom_ai.domain.result import ResultKind
from tests import builders
from tests.unit.dicom import results

SHAPE = (60, 512, 512)
VERTEBRAE, DISCS = 24, 23


def spine_labels() -> np.ndarray:
    """Return 24 vertebrae, 23 discs, a canal and a cord in it, as a sagittal stack shows them."""
    labels = np.zeros(SHAPE, np.uint8)
    slices, rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    for number in range(VERTEBRAE):
        middle = 17 + 20 * number
        body = ((rows - middle) / 7.5) ** 2 + ((columns - 240) / 22) ** 2 + ((slices - 30) / 16) ** 2 < 1
        labels[body] = number + 1
        if number < DISCS:
            disc = (abs(rows - middle - 10) < 3) & (abs(columns - 240) < 19) & (abs(slices - 30) < 14)
            labels[disc] = VERTEBRAE + number + 1
    course = columns - 285 - 8 * np.sin(rows / 80)
    labels[(rows > 5) & (rows < 490) & ((slices - 30) ** 2 / 11**2 + course**2 / 13**2 < 1)] = 49
    labels[(rows > 5) & (rows < 400) & ((slices - 30) ** 2 / 5.5**2 + course**2 / 6**2 < 1)] = 48
    return labels


def seconds(make: Callable[[], Dataset], path: Path) -> tuple[float, float, float]:
    """Return how long it takes to make and to save an object, and the time of the processor for both."""
    begin, used = time.perf_counter(), time.process_time()
    dataset = make()
    made = time.perf_counter()
    dataset.save_as(path, enforce_file_format=True)
    return made - begin, time.perf_counter() - made, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    labels = spine_labels()
    count = int(labels.max())
    segments = results.segments(*(Structure(StructureKind.VERTEBRA, f"Segment {n}", "") for n in range(1, count + 1)))
    segmentation = Segmentation(labels, segments, 1.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        identity = results.identity(ResultKind.SEG)
        image = results.read(builders.mr_series(np.zeros(SHAPE, np.uint16), plane="sagittal"), folder / "mr")

        def ours() -> Dataset:
            return seg_writer.write_seg(
                image.series, image.source, segmentation, identity=identity, model=results.MODEL
            )

        def highdicom() -> Dataset:
            with patch.object(seg_writer, "_quickly", lambda *_: None):
                return ours()

        seconds(highdicom, folder / "highdicom.dcm")
        seconds(ours, folder / "ours.dcm")
        written, theirs = (results.without_chance(dcmread(folder / f"{who}.dcm")) for who in ("ours", "highdicom"))
        same = "equal" if written == theirs else "NOT EQUAL"
        print(f"both       {written.NumberOfFrames} frames, {len(written.PixelData) / 1e6:.1f} MB of pixels: {same}")
        begin = time.perf_counter()
        source_headers(image.series, whole=image.source.frames[0].sop_instance_uid)
        print(f"both       read the headers of {SHAPE[0]} sources: {time.perf_counter() - begin:.3f} s of create")
        taken: dict[str, list[tuple[float, float, float]]] = {"highdicom": [], "dicom_ai": []}
        for _ in range(rounds):  # alternating, so that what else the machine does meets both
            taken["highdicom"].append(seconds(highdicom, folder / "highdicom.dcm"))
            taken["dicom_ai"].append(seconds(ours, folder / "ours.dcm"))
        for who, times in taken.items():
            made, saved, used = (statistics.median(part) for part in zip(*times, strict=True))
            print(f"{who:10} create {made:.3f} s, save {saved:.3f} s, processor {used:.3f} s (median of {rounds})")
        pairs = list(zip(taken["dicom_ai"], taken["highdicom"], strict=True))
        ratios = [sum(us[:2]) / sum(them[:2]) for us, them in pairs]
        print(f"ratio      {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")
        print(f"           {statistics.median(us[2] / them[2] for us, them in pairs):.3f} of the processor's time")


if __name__ == "__main__":
    main()
