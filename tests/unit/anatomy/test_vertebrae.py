"""From label images to levels: geometry in closed form, and anchors that must be plausible to count."""

import numpy as np
import pytest

from dicom_ai.anatomy.vertebrae import instances_in, label_segmentation
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind
from dicom_ai.domain.image import Volume

BODY_MM, DISC_MM = 24, 8


def sagittal(shape, spacing_mm=(3.0, 1.0, 1.0)):
    """An empty sagittal grid: slices to the left, rows to the feet, columns to the back."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[spacing_mm[0], 0, 0], [0, 0, spacing_mm[2]], [0, -spacing_mm[1], 0]])
    return Volume(np.zeros(shape, np.uint8), affine)


def drawn(kinds, *, body_mm=BODY_MM, discs=DISC_MM, top=5, dens_mm=0):
    """A column of blocks: (kind, level) from above, discs between them; returns segmentation and grid.

    dens_mm: how much taller than the others the first one is.
    """
    top += dens_mm
    rows = top + len(kinds) * (body_mm + discs) + 5
    labels = np.zeros((10, rows, 60), np.uint8)
    segments = []
    for place, (kind, level) in enumerate(kinds):
        start = top + place * (body_mm + discs)
        labels[1:-1, start : start + body_mm, 15:45] = place + 1
        segments.append(Segment(place + 1, Structure(kind, "", level), "", ""))
    labels[1:-1, top - dens_mm : top, 20:40] = 1
    for place in range(len(kinds) - 1):
        number = len(segments) + 1
        start = top + place * (body_mm + discs) + body_mm
        labels[1:-1, start : start + discs, 16:44] = number
        segments.append(Segment(number, Structure(StructureKind.DISC, ""), "", ""))
    return Segmentation(labels, tuple(segments), 1.0), sagittal(labels.shape)


V, S, C2 = (StructureKind.VERTEBRA, None), (StructureKind.SACRUM, None), (StructureKind.VERTEBRA, "C2")


def levels(segmentation, grid):
    return [vertebra.level for vertebra in label_segmentation(segmentation, grid).labels]


def test_a_block_has_its_centre_and_ends_where_it_was_drawn():
    segmentation, grid = drawn([V, V])

    first = instances_in(segmentation.labels, grid, [1])[0]

    assert first.centroid_mm == pytest.approx(grid.to_mm(np.array([4.5, 5 + (BODY_MM - 1) / 2, 29.5])))
    assert first.height_mm == pytest.approx(BODY_MM - 1, abs=1.0)
    assert first.upper_mm[2] > first.centroid_mm[2] > first.lower_mm[2]
    assert first.whole


def test_a_lumbar_column_is_counted_from_its_sacrum():
    assert levels(*drawn([V, V, V, S])) == ["L3", "L4", "L5"]


def test_a_neck_is_counted_from_its_c2():
    assert levels(*drawn([C2, V, V, V], body_mm=14, discs=5, dens_mm=18)) == ["C2", "C3", "C4", "C5"]


def test_a_c2_on_lumbar_vertebrae_is_not_believed():
    segmentation, grid = drawn([C2, V, V, V], dens_mm=20)

    assert levels(segmentation, grid) == [None] * 4
    assert "too tall for a neck" in label_segmentation(segmentation, grid).notes[0]


def test_a_c2_whose_dens_is_partly_cut_by_the_border_still_counts():
    assert levels(*drawn([C2, V, V, V], body_mm=14, discs=5, top=0, dens_mm=6)) == ["C2", "C3", "C4", "C5"]


def test_a_c2_no_taller_than_the_others_is_not_believed():
    assert levels(*drawn([C2, V, V, V], body_mm=14, discs=5)) == [None] * 4
    assert levels(*drawn([C2, V, V, V], body_mm=14, discs=5, top=0)) == [None] * 4


def test_a_sacrum_below_vertebrae_of_a_neck_is_not_believed():
    assert levels(*drawn([V, V, V, S], body_mm=14, discs=5)) == [None] * 3


def test_a_sacrum_on_a_remnant_of_a_disc_is_not_believed():
    segmentation, grid = drawn([V, V, V, S])
    last = segmentation.segments[-1].number
    segmentation.labels[2:, :, :][segmentation.labels[2:, :, :] == last] = 0

    assert levels(segmentation, grid) == [None] * 3


@pytest.mark.parametrize(("signal", "named"), [(100, True), (200, True), (20, False), (400, False)])
def test_a_sacrum_of_another_signal_than_bone_is_metal_or_fluid_and_not_believed(signal, named):
    segmentation, grid = drawn([V, V, V, S])
    voxels = np.zeros(grid.shape, np.float32)
    voxels[np.isin(segmentation.labels, [1, 2, 3])] = 100
    voxels[segmentation.labels == 4] = signal

    labelling = label_segmentation(segmentation, grid.with_voxels(voxels))

    assert [one.level for one in labelling.labels] == (["L3", "L4", "L5"] if named else [None] * 3)
    assert any("another signal" in note for note in labelling.notes) != named


@pytest.mark.parametrize(("taller_mm", "named"), [(14, True), (24, False)])
def test_a_sacrum_as_tall_as_two_vertebrae_holds_l5_and_is_not_believed(taller_mm, named):
    segmentation, _ = drawn([V, V, V, S])
    low = int(np.flatnonzero((segmentation.labels == 4).any(axis=(0, 2)))[-1])
    labels = np.pad(segmentation.labels, ((0, 0), (0, 20), (0, 0)))
    labels[1:-1, low : low + taller_mm, 15:45] = 4

    labelling = label_segmentation(Segmentation(labels, segmentation.segments, 1.0), sagittal(labels.shape))

    assert [one.level for one in labelling.labels] == (["L3", "L4", "L5"] if named else [None] * 3)
    assert any("as tall as two vertebrae" in note for note in labelling.notes) != named


@pytest.mark.parametrize(
    ("kept", "named"),
    [(slice(30, None), False), (slice(None, 30), False), (slice(16, None), False), (slice(12, None), True)],
    ids=["back half", "front half", "all but the front wall", "all"],
)
def test_a_spine_half_outside_the_image_is_not_counted(kept, named):
    segmentation, grid = drawn([V, V, V, S])
    labels = np.ascontiguousarray(segmentation.labels[:, :, kept])
    cut = Volume(np.ascontiguousarray(grid.voxels[:, :, kept]), grid.affine)

    labelling = label_segmentation(Segmentation(labels, segmentation.segments, 1.0), cut)

    assert [one.level for one in labelling.labels] == (["L3", "L4", "L5"] if named else [None] * 3)
    assert any("cuts through most vertebrae" in note for note in labelling.notes) != named


def test_a_border_that_cuts_one_of_four_vertebrae_leaves_the_count():
    segmentation, grid = drawn([V, V, V, V, S])
    segmentation.labels[:, :, :20][segmentation.labels[:, :, :20] != 1] = 0
    labels = np.ascontiguousarray(segmentation.labels[:, :, 18:])

    cut = Segmentation(labels, segmentation.segments, 1.0)

    assert levels(cut, Volume(np.zeros(labels.shape, np.uint8), grid.affine)) == ["L2", "L3", "L4", "L5"]


def test_without_sacrum_and_c2_there_is_no_level():
    assert levels(*drawn([V, V, V])) == [None] * 3


def test_a_volume_stored_feet_first_gives_the_same_levels():
    segmentation, grid = drawn([V, V, V, S])
    flipped = np.ascontiguousarray(segmentation.labels[:, ::-1])
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_mm(np.array([0, grid.shape[1] - 1, 0]))
    affine[:3, 1] *= -1

    turned = Segmentation(flipped, segmentation.segments, 1.0)

    assert levels(turned, Volume(np.zeros(flipped.shape, np.uint8), affine)) == ["L3", "L4", "L5"]
