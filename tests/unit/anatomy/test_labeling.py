"""Levels on parametric spines whose truth is known: every level must be right or withheld."""

from dataclasses import replace

import numpy as np
import pytest

from dicom_ai.anatomy.instances import Instance
from dicom_ai.anatomy.labeling import DOUBT, FROM_C2, FROM_SACRUM, Anchors, label, transfer_labels
from dicom_ai.anatomy.levels import STANDARD

HEIGHTS_MM = {"C": 14.0, "T": 20.0, "L": 27.0, "S": 30.0}


def spine(levels, *, curve_mm=0.0, short=(), disc_mm=6.0):
    """Instances from above; centres on a sine of that amplitude; `short` levels have 30 % of their height."""
    top, found = 0.0, []
    for number, level in enumerate(levels, start=1):
        height = HEIGHTS_MM[level[0]] * (2.3 if level == "C2" else 0.3 if level in short else 1.0)
        ends = [np.array([curve_mm * np.sin(z / 80.0), 0.0, -z]) for z in (top, top + height / 2, top + height)]
        found.append(Instance(number, centroid_mm=ends[1], upper_mm=ends[0], lower_mm=ends[2]))
        top += height + disc_mm
    return found


def between(first, last, levels=STANDARD):
    return levels[levels.index(first) : levels.index(last) + 1]


def labelled(levels, *, c2=False, sacrum=False, **shape):
    """Label a spine of these levels; the anchors are handed over where asked for. Return (labels, truth, notes)."""
    found = spine(levels, **shape)
    vertebrae = [instance for instance, level in zip(found, levels, strict=True) if level != "S1"]
    anchors = Anchors(c2=levels.index("C2") + 1 if c2 else None, sacrum=found[levels.index("S1")] if sacrum else None)
    result = label(vertebrae, anchors)
    return result.labels, [level for level in levels if level != "S1"], result.notes


def named(labels):
    return [vertebra.level for vertebra in labels]


def right_or_withheld(labels, truth):
    return all(vertebra.level in (None, level) for vertebra, level in zip(labels, truth, strict=True))


WITH_T13 = (*between("C2", "T12"), "T13", *between("L1", "S1"))
WITH_L6 = (*between("C2", "L5"), "L6", "S1")
WITH_T11 = tuple(level for level in between("C2", "S1") if level != "T12")
WITH_L4 = tuple(level for level in between("C2", "S1") if level != "L5")


def test_a_neck_is_counted_from_c2_without_qualification():
    labels, truth, _ = labelled(between("C2", "T4"), c2=True)

    assert named(labels) == truth
    assert {(vertebra.anchor, vertebra.qualified) for vertebra in labels} == {(FROM_C2, False)}
    assert labels[1].name == "C3 vertebra"


def test_c1_above_c2_is_named():
    labels, truth, _ = labelled(between("C1", "C7"), c2=True)

    assert named(labels) == truth


def test_a_lumbar_spine_is_counted_from_the_sacrum_and_says_so():
    labels, truth, _ = labelled(between("T11", "S1"), sacrum=True)

    assert named(labels) == truth
    assert {(vertebra.anchor, vertebra.qualified) for vertebra in labels} == {(FROM_SACRUM, True)}


def test_a_whole_spine_seen_from_both_ends_is_unqualified():
    labels, truth, notes = labelled(between("C2", "S1"), c2=True, sacrum=True)

    assert named(labels) == truth
    assert not any(vertebra.qualified for vertebra in labels)
    assert "counts from both ends of the spine agree" in notes


@pytest.mark.parametrize("levels", [WITH_T13, WITH_L6, WITH_T11, WITH_L4], ids=["T13", "L6", "11 T", "4 L"])
def test_a_spine_with_a_variant_gives_both_counts_and_withholds_between(levels):
    labels, truth, notes = labelled(levels, c2=True, sacrum=True)

    assert right_or_withheld(labels, truth)
    assert named(labels)[1:] == [None] * (len(labels) - 1)
    assert "disagree" in notes[-1] and FROM_C2 in notes[-1] and FROM_SACRUM in notes[-1]


@pytest.mark.parametrize("levels", [WITH_T13, WITH_T11], ids=["T13", "11 T"])
def test_a_count_from_c2_alone_stops_where_the_variants_begin(levels):
    labels, _, notes = labelled(levels[:-1], c2=True)

    assert named(labels)[:18] == list(between("C2", "T12"))[:18]
    assert named(labels)[18:] == [None] * (len(labels) - 18)
    assert any("could not be counted" in note for note in notes)


def test_a_sixth_lumbar_vertebra_in_a_lumbar_image_is_never_named_without_the_qualification():
    labels, _, _ = labelled(("T12", *between("L1", "L5"), "L6", "S1"), sacrum=True)

    assert all(vertebra.qualified for vertebra in labels)


@pytest.mark.parametrize("levels", [between("C3", "T4"), between("T11", "L5"), between("T1", "T12")])
def test_without_an_anchor_there_is_no_level(levels):
    labels, _, notes = labelled(levels)

    assert named(labels) == [None] * len(levels)
    assert [vertebra.name for vertebra in labels] == [f"V{place}" for place in range(1, len(levels) + 1)]
    assert notes == ("neither C2 nor the sacrum was found: no level is known",)


def test_votes_without_an_anchor_are_no_anchor():
    vertebrae = [replace(instance, votes=(("L3", 1.0),)) for instance in spine(("L3", "L4"))]

    assert named(label(vertebrae).labels) == [None, None]


def test_strong_votes_at_the_sacrum_name_the_sixth_lumbar_vertebra():
    levels = (*between("L1", "L5"), "L6", "S1")
    found = [replace(instance, votes=((level, 1.0),)) for instance, level in zip(spine(levels), levels, strict=True)]

    labels = label(found[:-1], Anchors(sacrum=found[-1])).labels

    assert named(labels) == list(levels[:-1])
    assert all(vertebra.qualified for vertebra in labels)


def test_a_block_vertebra_counts_as_two_and_has_no_level_itself():
    found = spine(between("C2", "T2"))
    c4, c5 = found[2], found[3]
    block = Instance(99, (c4.centroid_mm + c5.centroid_mm) / 2, c4.upper_mm, c5.lower_mm)

    labels = label([*found[:2], block, *found[4:]], Anchors(c2=1)).labels

    assert named(labels) == ["C2", "C3", None, "C6", "C7", "T1", "T2"]
    assert [vertebra.qualified for vertebra in labels] == [False, False, False, True, True, True, True]
    assert labels[3].anchor == FROM_C2 + DOUBT


def test_a_vertebra_between_two_collapsed_ones_is_no_block():
    labels, truth, _ = labelled(between("T9", "S1"), sacrum=True, short=("L1", "L3"))

    assert named(labels) == truth


def test_a_missed_vertebra_is_counted_as_a_gap_with_doubt():
    found = spine(between("L1", "S1"))

    labels = label([*found[:2], *found[3:5]], Anchors(sacrum=found[5])).labels

    assert named(labels) == ["L1", "L2", "L4", "L5"]


def test_a_missed_lowest_vertebra_shows_as_a_gap_above_the_sacrum():
    found = spine(between("L1", "S1"))

    labels = label(found[:4], Anchors(sacrum=found[5])).labels

    assert named(labels) == ["L1", "L2", "L3", "L4"]


def test_a_missed_neck_vertebra_puts_what_lies_below_in_doubt():
    found = spine(between("C2", "T2"))

    labels = label([*found[:3], *found[4:]], Anchors(c2=1)).labels

    assert named(labels) == ["C2", "C3", "C4", "C6", "C7", "T1", "T2"]
    assert [vertebra.qualified for vertebra in labels] == [False] * 3 + [True] * 4


def test_a_collapsed_vertebra_is_still_one():
    labels, truth, _ = labelled(between("T9", "S1"), sacrum=True, short=("L1",))

    assert named(labels) == truth


def test_two_halves_of_one_vertebra_stop_the_count():
    found = spine(between("T10", "S1"))
    l2 = found[4]
    up = np.array([0.0, 0.0, 1.0])
    upper = Instance(98, (l2.upper_mm + l2.centroid_mm) / 2, l2.upper_mm, l2.centroid_mm + up)
    lower = Instance(99, (l2.lower_mm + l2.centroid_mm) / 2, l2.centroid_mm - up, l2.lower_mm)

    labels = label([*found[:4], upper, lower, *found[5:-1]], Anchors(sacrum=found[-1])).labels

    assert named(labels) == [None] * 6 + ["L3", "L4", "L5"]


@pytest.mark.parametrize(("lost_mm", "below"), [(3.0, "C3"), (11.0, None)])
def test_where_nobody_can_tell_whether_a_vertebra_is_missing_the_count_stops(lost_mm, below):
    c2, *others = spine(between("C2", "T4"))
    up = np.array([0.0, 0.0, lost_mm])
    in_part = replace(c2, lower_mm=c2.lower_mm + up, centroid_mm=c2.centroid_mm + up / 2)

    labels = label([in_part, *others], Anchors(c2=1)).labels

    assert labels[1].level == below


def test_two_bones_side_by_side_are_no_two_vertebrae():
    found = spine(between("C2", "T4"))
    half = found[3]
    beside = replace(half, segment_number=99, centroid_mm=half.centroid_mm + np.array([15.0, 0.0, -1.0]))

    labels = label([*found, beside], Anchors(c2=1)).labels

    assert named(labels)[:3] == ["C2", "C3", "C4"]
    assert right_or_withheld([one for one in labels if one.segment_number != 99], between("C2", "T4"))
    assert named(labels)[5:] == [None] * len(labels[5:])


def test_a_scoliotic_curve_is_counted_like_a_straight_one():
    labels, truth, _ = labelled(between("C2", "S1"), c2=True, sacrum=True, curve_mm=40.0)

    assert named(labels) == truth


def test_vertebrae_cut_by_the_border_still_count():
    found = spine(between("T12", "S1"))
    cut = replace(found[0], upper_mm=found[0].centroid_mm, whole=False)

    labels = label([cut, *found[1:-1]], Anchors(sacrum=found[-1])).labels

    assert named(labels) == list(between("T12", "L5"))


def test_a_c2_in_the_middle_of_the_spine_is_not_used():
    found = spine(between("C2", "T2"))

    result = label(found, Anchors(c2=5))

    assert named(result.labels) == [None] * len(found)
    assert "does not lie on top" in result.notes[0]


def test_a_sacrum_above_vertebrae_is_not_used():
    found = spine(between("L1", "S1"))

    result = label([*found[:2], *found[3:5]], Anchors(sacrum=found[2]))

    assert named(result.labels) == [None] * 4
    assert "does not lie below" in result.notes[0]


def test_the_order_of_the_instances_does_not_matter():
    found = spine(between("C2", "C7"))

    assert named(label(found[::-1], Anchors(c2=1)).labels) == list(between("C2", "C7"))


def test_no_vertebra_gives_no_label():
    assert label([]).labels == ()


def moved(labels, by_mm):
    return [
        replace(v, centroid_mm=v.centroid_mm + by_mm, upper_mm=v.upper_mm + by_mm, lower_mm=v.lower_mm + by_mm)
        for v in labels
    ]


def test_levels_cross_to_an_overlapping_series_and_count_on_from_there():
    whole, _, _ = labelled(between("C2", "T8"), c2=True)
    part = label([replace(v, segment_number=50 + n) for n, v in enumerate(spine(between("C2", "T12"))[4:])]).labels

    carried = transfer_labels(whole, moved(part, np.array([0.0, 2.0, 3.0])))

    assert named(carried.labels) == list(between("C6", "T12"))
    assert not any(v.qualified for v in carried.labels)
    assert "carried over from another series" in carried.labels[0].anchor


def test_levels_do_not_cross_when_the_patient_moved_by_half_a_vertebra():
    whole, _, _ = labelled(between("C2", "T8"), c2=True)
    part = label(spine(between("C2", "T8"))[2:8]).labels

    carried = transfer_labels(whole, moved(part, np.array([0.0, 0.0, 6.0])))

    assert named(carried.labels) == [None] * 6
    assert "offset" in carried.notes[0]


def test_levels_do_not_cross_between_spines_that_do_not_overlap():
    whole, _, _ = labelled(between("C2", "C7"), c2=True)
    part = label(spine(between("C2", "T8"))[8:]).labels

    assert named(transfer_labels(whole, part).labels) == [None] * len(part)


def test_levels_of_two_series_that_disagree_are_withheld():
    whole, _, _ = labelled(between("C2", "C7"), c2=True)
    found = spine(between("C2", "C7"))
    other = label(found[1:], Anchors(c2=2)).labels

    carried = transfer_labels(whole, other)

    assert named(carried.labels) == [None] * 5
    assert "disagree" in carried.notes[0]


def test_doubt_crosses_with_the_levels():
    lumbar, truth, _ = labelled(between("T11", "S1"), sacrum=True)
    part = label(spine(between("T11", "S1"))[:-1]).labels

    carried = transfer_labels(lumbar, part)

    assert named(carried.labels) == truth
    assert all(v.qualified for v in carried.labels)
