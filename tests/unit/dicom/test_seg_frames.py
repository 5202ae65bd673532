"""The quick way to a SEG of many segments, against highdicom for the whole mask."""

from unittest.mock import patch

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.dicom import seg_frames, seg_writer
from dicom_ai.domain.findings import Segment, Segmentation
from dicom_ai.domain.result import ResultKind
from tests import builders
from tests.unit.dicom import results

SLICES = 7
SHAPE = (SLICES, 24, 32)
LEVELS = ("C2", "C3", "C4", "C5", "C6")


def scattered(seed: int = 0) -> np.ndarray:
    """Return labels 1..5, each in slices of its own choice; slice 0 is empty."""
    labels = np.zeros(SHAPE, np.uint8)
    chance = np.random.default_rng(seed)
    for number in range(1, len(LEVELS) + 1):
        for index in sorted(chance.choice(np.arange(1, SLICES), 4, replace=False)):
            labels[index, 4 * number : 4 * number + 3, number : number + 5] = number
    return labels


def bands() -> np.ndarray:
    """Return labels 1..5 side by side in every slice: all of it is labelled, and every border is touched."""
    return np.broadcast_to((np.arange(SHAPE[1]) * len(LEVELS) // SHAPE[1] + 1)[:, None], SHAPE).astype(np.uint8)


def series(kind: str, shape: tuple[int, int, int] = SHAPE) -> list[Dataset] | Dataset:
    voxels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    if kind == "enhanced":
        return builders.enhanced_mr(voxels, frame_order=(4, 0, 6, 2, 1, 3, 5))
    if kind == "reversed":
        return builders.mr_series(voxels, spacing_mm=(4.0, 1.0, 1.0))[::-1]
    plane, angle = ("axial", 20.0) if kind == "oblique" else (kind, 0.0)
    return builders.mr_series(voxels, directions=builders.oblique(plane, angle_deg=angle))


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("axial", scattered()),
        ("sagittal", scattered(1)),
        ("coronal", scattered(2)),
        ("oblique", scattered(3)),
        ("reversed", scattered(4)),
        ("enhanced", scattered(5)),
        ("axial", bands()),
        ("axial", scattered(6)[:, :, 1:]),  # 31 columns: a row ends within a byte
    ],
    ids=["axial", "sagittal", "coronal", "oblique", "reversed", "enhanced", "every border", "31 columns"],
)
def test_it_equals_what_highdicom_writes(kind, labels, tmp_path):
    image = results.read(series(kind, labels.shape), tmp_path / "mr")
    segmentation = Segmentation(labels, segments(), 0.9)
    identity = results.identity(ResultKind.SEG)

    def saved(name: str) -> Dataset:
        seg = seg_writer.write_seg(image.series, image.source, segmentation, identity=identity, model=results.MODEL)
        seg.save_as(tmp_path / name, enforce_file_format=True)
        return dcmread(tmp_path / name)

    with patch.object(seg_frames, "expanded", wraps=seg_frames.expanded) as used:
        quick = saved("quick.dcm")
    with patch.object(seg_writer, "_quickly", lambda *_: None):
        whole = saved("whole.dcm")

    assert used.called
    assert results.without_chance(quick) == results.without_chance(whole)
    assert quick.PixelData == whole.PixelData
    assert quick.NumberOfFrames == sum(len(np.unique(plane[plane > 0])) for plane in labels)


def test_groups_can_be_read_before_it_is_saved(tmp_path):
    image = results.read(series("axial"), tmp_path / "mr")

    seg = seg_writer.write_seg(
        image.series,
        image.source,
        Segmentation(scattered(), segments(), 0.9),
        identity=results.identity(ResultKind.SEG),
        model=results.MODEL,
    )

    numbers = [
        item.SegmentIdentificationSequence[0].ReferencedSegmentNumber for item in seg.PerFrameFunctionalGroupsSequence
    ]
    assert numbers == sorted(list(range(1, len(LEVELS) + 1)) * 4)


def test_rows_are_those_in_which_a_segment_lies_in_a_slice():
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 5:9, 30] = 1
    labels[2, 23, 31] = 2
    labels[4, 0, 0] = 2

    found = seg_frames.rows_of(labels, 3)

    assert found == {(1, 2): slice(5, 9), (2, 2): slice(23, 24), (2, 4): slice(0, 1)}


@pytest.mark.parametrize("seed", range(5))
def test_the_chosen_pairs_hold_every_segment_and_every_slice(seed):
    pairs = list(seg_frames.rows_of(scattered(seed), len(LEVELS)))

    chosen = seg_frames.chosen_pairs(pairs)

    assert set(chosen) <= set(pairs)
    assert len(set(chosen)) == len(chosen)
    assert {number for number, _ in chosen} == {number for number, _ in pairs}
    assert {index for _, index in chosen} == {index for _, index in pairs}


def test_a_segment_without_voxels_is_left_to_highdicom(tmp_path):
    image = results.read(series("axial"), tmp_path / "mr")
    labels = scattered()
    labels[labels == 3] = 0

    with patch.object(seg_frames, "expanded") as used:
        seg = seg_writer.write_seg(
            image.series,
            image.source,
            Segmentation(labels, segments(), 0.9),
            identity=results.identity(ResultKind.SEG),
            model=results.MODEL,
        )

    assert not used.called
    assert len(seg.SegmentSequence) == len(LEVELS)


def segments() -> tuple[Segment, ...]:
    return results.segments(*(results.vertebra(level) for level in LEVELS))
