"""The ensemble rule on painted columns: each step with a known answer."""

import numpy as np
import pytest

from dicom_ai.inference.vertebra_ensemble import (
    Body,
    Detection,
    alone,
    confirmed,
    ensemble,
    fits_column,
    fused,
    in_column,
    pieces,
    reference,
    taken_for,
    without_specks,
    without_strays,
    witnessed,
)

SHAPE = (300, 100)
NOTHING = np.zeros(SHAPE)
TOPS = (20, 60, 100, 140, 180, 220)


def box(top: int, *, height: int = 30, left: int = 30, width: int = 30, value: float = 0.9) -> np.ndarray:
    image = np.zeros(SHAPE)
    image[top : top + height, left : left + width] = value
    return image


def column(tops=TOPS) -> np.ndarray:
    return np.max([box(top) for top in tops], axis=0)


def cores(tops=TOPS) -> np.ndarray:
    return np.max([box(top + 6, height=18, left=36, width=18) for top in tops], axis=0)


def body(top: int, **kind) -> Body:
    return Body(box(top, **kind), 0.9, ("unet",))


def test_a_detection_knows_how_much_of_it_lies_in_a_piece():
    one = Detection("vertebra", 0.9, box(60))

    assert one.area == 900
    assert one.window == (slice(60, 90), slice(30, 60))
    assert one.share_in(box(75) > 0) == pytest.approx(0.5)
    assert Detection("vertebra", 0.9, NOTHING).share_in(box(75) > 0) == 0


def test_separate_pieces_are_bodies_from_above():
    found = ensemble(column(), cores())

    assert [int(one.mask.sum()) for one in found] == [900] * 6
    assert [round(float(one.centre[1])) for one in found] == [34, 74, 114, 154, 194, 234]


def test_merged_bodies_are_shared_among_their_cores():
    merged = np.maximum(column(), box(85, height=20, left=40, width=10))

    found = ensemble(merged, cores())

    assert len(found) == 6
    assert sum(one.mask.sum() for one in found) == (merged >= 0.5).sum()


def test_merged_bodies_without_cores_are_shared_among_detections():
    merged = np.maximum(column(), box(85, height=20, left=40, width=10))
    detections = [Detection("vertebra", 0.9, box(top)) for top in TOPS]

    found = ensemble(merged, np.zeros(SHAPE), detections)

    assert len(found) == 6


def test_agreement_averages_the_probabilities():
    joined = fused(body(60), Detection("vertebra", 0.7, box(60, value=0.7)), NOTHING)

    assert joined.witnesses == ("unet", "detector")
    assert np.isclose(joined.soft[70, 40], 0.8)
    assert np.isclose(joined.score, 0.8)


def test_a_detection_claims_what_the_unet_nearly_sees_and_nothing_of_another_body():
    nearly = box(60, height=34, value=0.4) * (body(60).soft == 0)
    wide = Detection("vertebra", 0.9, box(60, height=40))

    joined = fused(body(60), wide, nearly)

    assert joined.mask[92, 40]  # 0.4 and 0.9
    assert not joined.mask[96, 40]  # nothing of the U-Net's, so it may be another body


def test_where_both_disagree_the_outline_of_the_detection_stands():
    half = fused(body(60), Detection("vertebra", 0.7, box(60, height=70)), NOTHING)
    both = fused(body(60), Detection("vertebra", 0.7, box(60, height=70)), box(90, height=70, value=0.2))

    assert (int(half.mask.sum()), int(both.mask.sum())) == (900, 2100)  # what the U-Net gives to other bodies is theirs
    assert both.witnesses == ("unet", "detector")


def test_what_the_unet_alone_saw_is_kept_only_in_the_column_of_what_both_saw():
    seen = [Detection("vertebra", 0.9, box(top)) for top in (20, 60, 140, 180)]
    stray = np.maximum(column((20, 60, 140, 180)), box(100, left=52))
    its_core = np.maximum(cores((20, 60, 140, 180)), box(106, height=18, left=58, width=18))

    assert len(ensemble(stray, its_core, seen)) == 4
    assert len(ensemble(stray, its_core, seen[:2])) == 5


def test_too_few_bodies_that_both_saw_are_no_column():
    both = [Body(box(top), 0.9, ("unet", "detector")) for top in (20, 60, 100)]
    single = body(140)

    assert [len(part) for part in witnessed([*both[:2], single])] == [3, 0]
    assert [len(part) for part in witnessed([*both, single])] == [3, 1]


def test_a_lone_detection_is_kept_in_a_gap_of_the_column():
    tops = (20, 60, 140, 180, 220)
    in_gap, beside = Detection("vertebra", 0.9, box(100)), Detection("vertebra", 0.9, box(100, left=68, width=30))

    assert len(ensemble(column(tops), cores(tops), [in_gap])) == 6
    assert len(ensemble(column(tops), cores(tops), [beside])) == 5


def test_a_lone_detection_that_is_not_sure_is_dropped():
    tops = (20, 60, 140, 180, 220)

    assert len(ensemble(column(tops), cores(tops), [Detection("vertebra", 0.6, box(100))])) == 5


def test_a_piece_without_a_core_is_kept_in_a_gap_only():
    others = [body(top) for top in (20, 60, 140, 180, 220)]

    assert fits_column(body(100), others)
    assert not fits_column(body(100, left=60), others)
    assert not fits_column(body(100, height=8, width=8), others)


def test_two_bodies_are_no_column_to_fit_into():
    assert not fits_column(body(100), [body(20), body(60)])


def test_what_lies_beside_the_column_is_dropped():
    stray = body(100, left=0, width=25)
    kept = in_column([*(body(top, left=65) for top in TOPS), stray])

    assert all(one is not stray for one in kept)
    assert len(kept) == 6


def test_specks_are_dropped():
    assert len(without_specks([*(body(top) for top in TOPS), body(260, height=5, width=5)])) == 6


def test_few_pixels_are_no_piece():
    assert pieces(box(20, height=3, width=3)) == []


def test_nothing_gives_nothing():
    assert ensemble(np.zeros(SHAPE), np.zeros(SHAPE)) == ()


def test_c2_is_taken_above_the_column_only():
    bodies = ensemble(column(TOPS[1:]), cores(TOPS[1:]))

    assert reference(box(20), bodies, (), above=True) is not None
    assert reference(box(260), bodies, (), above=True) is None
    assert reference(box(20), bodies, (), above=False) is None


def test_a_reference_far_from_the_column_is_none():
    bodies = ensemble(column((160, 200, 240)), cores((160, 200, 240)))

    assert reference(box(20), bodies, (), above=True) is None


def test_a_reference_that_only_one_network_sees_is_not_confirmed():
    found = body(20)

    assert confirmed(found, [Detection("C2", 0.9, box(22))]).witnesses == ("unet", "detector")
    assert confirmed(found, [Detection("C2", 0.9, box(120))]) is None
    assert confirmed(None, [Detection("C2", 0.9, box(22))]) is None


def stray(top: int, **kind) -> Body:
    return Body(box(top, value=0.6, **kind), 0.6, ("unet",))


def test_weak_bodies_below_an_s1_that_both_networks_see_are_parts_of_the_sacrum():
    bodies = (*(body(top) for top in TOPS[:4]), stray(190, left=60, width=20), stray(260))
    s1, seen = box(180), [Detection("S1", 0.9, box(182))]

    assert [one.centre[1] for one in without_strays(bodies, s1, seen, above=False)] == [34.5, 74.5, 114.5, 154.5]
    assert without_strays(bodies, s1, [], above=False) == bodies
    assert without_strays(bodies, NOTHING, seen, above=False) == bodies


def test_a_body_that_both_networks_see_below_s1_is_no_stray():
    sure = Body(box(220, value=0.6), 0.6, ("unet", "detector"))
    bodies = (body(20), body(60), sure)

    assert without_strays(bodies, box(180), [Detection("S1", 0.9, box(182))], above=False) == bodies


def test_what_leaves_three_bodies_below_it_is_no_s1():
    bodies = (body(20), *(stray(top) for top in (100, 140, 180)))

    assert without_strays(bodies, box(60), [Detection("S1", 0.9, box(62))], above=False) == bodies


def test_a_last_body_that_looks_like_s1_itself_leaves_s1_in_doubt():
    bodies = [body(top) for top in TOPS]

    assert taken_for(box(220, value=0.7), bodies, above=False)
    assert not taken_for(box(260), bodies, above=False)
    assert not taken_for(box(220, value=0.7), bodies, above=True)
    assert not taken_for(box(220), [], above=False)


def test_a_neck_that_leans_forward_keeps_its_upper_bodies():
    leaning = [body(20 + 40 * place, left=10 + 20 * max(0, 3 - place)) for place in range(7)]

    assert len(in_column(leaning)) == 7


def test_detections_alone_are_bodies_from_above():
    found = [Detection("vertebra", 0.9, box(top)) for top in reversed(TOPS)]

    assert [one.centre[1] for one in alone(found)] == sorted(one.centre[1] for one in alone(found))
    assert len(alone(found)) == len(TOPS)


def test_a_detected_reference_serves_where_the_unet_has_none():
    bodies = ensemble(column(TOPS[1:]), cores(TOPS[1:]))
    c2 = Detection("C2", 0.9, box(20))

    found = reference(np.zeros(SHAPE), bodies, [c2], above=True)

    assert found is not None and found.witnesses == ("detector",)
