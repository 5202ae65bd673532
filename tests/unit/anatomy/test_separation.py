"""Class maps of drawn columns: how many bones and discs come out, in which order, and what is dropped."""

import numpy as np
import pytest

from dicom_ai.anatomy.separation import ClassValues, separate

VALUES = ClassValues(vertebra=1, disc=2, c2=3, sacrum=4, canal=5)
SPACING = (2.0, 1.0, 1.0)
SLICES, COLUMNS = 16, 90
BODY_MM, DISC_MM = 24, 8


def column(bones, *, top=6):
    """A class map with these classes from above, each a block of 24 mm on a disc of 8 mm, and a canal behind."""
    rows = top + len(bones) * (BODY_MM + DISC_MM) + 4
    classes = np.zeros((SLICES, rows, COLUMNS), np.uint8)
    for place, bone in enumerate(bones):
        start = top + place * (BODY_MM + DISC_MM)
        classes[2:-2, start : start + BODY_MM, 30:60] = bone
        if place < len(bones) - 1:
            classes[2:-2, start + BODY_MM : start + BODY_MM + DISC_MM, 31:59] = 2
    classes[6:-6, 2:-2, 64:76] = 5
    return classes


def test_every_bone_and_disc_comes_out_once_and_from_above():
    parts = separate(column([1, 1, 1, 4]), VALUES, SPACING)

    rows = [np.mean(np.nonzero(parts.labels == number)[1]) for number in parts.vertebrae]
    assert len(parts.vertebrae) == 3
    assert rows == sorted(rows)
    assert [(disc.above, disc.below) for disc in parts.discs] == [(0, 1), (1, 2), (2, 3)]
    assert parts.sacrum is not None and parts.canal is not None and parts.c2 is None


def test_the_outline_of_the_bones_stays_as_it_was():
    classes = column([1, 1, 1])

    parts = separate(classes, VALUES, SPACING)

    assert np.array_equal(np.isin(parts.labels, parts.vertebrae), classes == 1)


def test_bodies_joined_by_a_bridge_are_told_apart():
    classes = column([1, 1, 1])
    classes[2:-2, 30:60, 30:38] = 1  # an osteophyte eight millimetres thick in front of the first disc

    assert len(separate(classes, VALUES, SPACING).vertebrae) == 3


def test_bodies_without_any_disc_between_stay_one():
    classes = column([1, 1])
    classes[classes == 2] = 1

    assert len(separate(classes, VALUES, SPACING).vertebrae) == 1


def test_bodies_joined_in_the_outer_slices_are_told_apart_by_the_discs_of_the_middle():
    classes = column([1, 1, 1, 1])
    for outer in (slice(2, 5), slice(-5, -2)):
        classes[outer, 6:-8, 30:60] = 1

    parts = separate(classes, VALUES, SPACING)

    assert len(parts.vertebrae) == 4
    assert [(disc.above, disc.below) for disc in parts.discs] == [(0, 1), (1, 2), (2, 3)]


def test_what_looks_like_disc_inside_a_body_does_not_split_it():
    classes = column([1, 1, 1])
    middle = 6 + BODY_MM + DISC_MM + BODY_MM // 2
    classes[4:12, middle - 5 : middle + 5, 40:52] = 2

    assert len(separate(classes, VALUES, SPACING).vertebrae) == 3


def test_c2_is_known_by_a_third_of_its_voxels():
    classes = column([1, 1, 1])
    first = classes[:, : 6 + BODY_MM]
    first[4:10][first[4:10] == 1] = 3

    parts = separate(classes, VALUES, SPACING)

    assert parts.c2 == parts.vertebrae[0]


def test_a_c2_that_holds_c3_too_is_no_c2():
    classes = column([3, 1, 1, 1])
    classes[2:-2, 30:38, 31:59] = 3  # no disc between the first two: one bone
    merged = separate(classes, VALUES, SPACING)
    whole = separate(column([3, 1, 1, 1]), VALUES, SPACING)

    assert whole.c2 == whole.vertebrae[0] and not whole.doubt
    assert len(merged.vertebrae) == 3 and merged.c2 is None
    assert "holds a part of another vertebra" in merged.doubt


def test_a_splinter_as_high_as_the_last_body_is_no_vertebra():
    classes = column([1, 1, 1])
    last = 6 + 2 * (BODY_MM + DISC_MM)
    classes[2:-2, last + 4 : last + 14, 6:20] = 1
    classes[2:-2, last + 8 : last + 10, 20:30] = 2

    assert len(separate(classes, VALUES, SPACING).vertebrae) == 3


def test_what_lies_below_the_sacrum_is_left_out():
    parts = separate(column([1, 1, 4, 4, 1]), VALUES, SPACING)

    assert len(parts.vertebrae) == 2
    assert len(np.unique(parts.labels[parts.labels > 0])) == 2 + 1 + len(parts.discs) + 1


@pytest.mark.parametrize("size", [6, 14])
def test_a_piece_beside_the_spine_is_left_out(size):
    classes = column([1, 1, 1])
    classes[4:10, 40 : 40 + size, 2 : 2 + size] = 1

    assert len(separate(classes, VALUES, SPACING).vertebrae) == 3


def test_a_body_that_the_plane_of_a_stray_disc_cuts_stays_one():
    classes = np.pad(column([1, 1, 1]), ((0, 8), (0, 0), (0, 0)))
    middle = 6 + BODY_MM + DISC_MM + BODY_MM // 2
    classes[14:20, middle - 3 : middle + 3, 30:58] = 2  # beside the second body

    assert len(separate(classes, VALUES, SPACING).vertebrae) == 3


def test_the_head_of_a_rib_at_the_side_of_a_disc_is_no_vertebra():
    classes = np.pad(column([1, 1, 1]), ((0, 8), (0, 0), (0, 0)))
    classes[14:22, 30:42, 30:48] = 1  # beside the first disc, touching the body above

    parts = separate(classes, VALUES, SPACING)

    assert len(parts.vertebrae) == 3
    assert not parts.labels[18:22, 30:42, 30:48].any()


def test_every_vertebra_of_a_curve_of_ten_centimetres_radius_is_kept():
    classes = np.zeros((SLICES + 24, *column([1] * 5).shape[1:]), np.uint8)
    for row, plane in enumerate(np.moveaxis(column([1] * 5), 1, 0)):
        aside = round((100 - np.sqrt(100**2 - min(80, abs(row - 84)) ** 2)) / SPACING[0])
        classes[aside : aside + SLICES, row] = plane

    assert len(separate(classes, VALUES, SPACING).vertebrae) == 5


def test_a_vertebra_cut_by_the_border_is_kept():
    classes = column([1, 1, 1])[:, 6 + BODY_MM - 6 :]

    assert len(separate(classes, VALUES, SPACING).vertebrae) == 3


def test_an_empty_map_has_no_parts():
    parts = separate(np.zeros((8, 40, 40), np.uint8), VALUES, SPACING)

    assert parts.vertebrae == () and parts.discs == () and parts.sacrum is None and parts.canal is None


def test_discs_of_a_steep_column_each_keep_their_own_gap():
    parts = separate(column([1, 1, 1, 1]), VALUES, SPACING)
    steep = column([1, 1, 1, 1])
    for row in range(steep.shape[1]):
        steep[:, row] = np.roll(steep[:, row], row // 6 - 12, axis=1)

    leaning = separate(steep, VALUES, SPACING)

    assert [(disc.above, disc.below) for disc in leaning.discs] == [(disc.above, disc.below) for disc in parts.discs]


def test_two_discs_that_touch_around_a_body_are_two():
    classes = column([1, 1, 1])
    classes[6:9, 30:70, 28:30] = 2  # a bridge of disc in front of the body between

    parts = separate(classes, VALUES, SPACING)

    assert [(disc.above, disc.below) for disc in parts.discs] == [(0, 1), (1, 2)]
