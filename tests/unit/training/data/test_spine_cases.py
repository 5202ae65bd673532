"""What drawn vertebrae say and do not say about the voxels around them."""

import numpy as np
import pytest

from dicom_ai.training.data.spine_cases import (
    disc_between_masks,
    disc_codes,
    paper_codes,
    slice_codes,
    to_uint8,
    vertebra_codes,
)
from dicom_ai.training.data.spine_classes import (
    ABOVE,
    BELOW,
    CLASSES,
    DISC,
    NO_DISC,
    PAPER_CLASSES,
    REST,
    RIM,
    SACRUM,
    UNKNOWN,
    VERTEBRA,
    allowed_table,
)

BODY, GAP = 26, 10


def labelled(count=3):
    """A volume with bodies numbered from the lowest, (24, 220, 120), and room below for a sacrum."""
    labels = np.zeros((24, 220, 120), np.uint8)
    for place in range(count):
        top = 30 + place * (BODY + GAP)
        labels[3:-3, top : top + BODY, 40:74] = count - place
    return labels


def test_the_gap_between_two_bodies_is_disc():
    labels = labelled()

    disc = disc_between_masks(labels == 3, labels == 2)

    assert np.array_equal(np.unique(np.nonzero(disc)[1]), np.arange(30 + BODY, 30 + BODY + GAP))
    assert not disc[:3].any() and not (disc & (labels > 0)).any()


def test_bodies_are_vertebrae_and_their_surroundings_are_not_all_background():
    codes = vertebra_codes(labelled())

    bottom = 30 + 3 * (BODY + GAP) - GAP
    assert (codes[labelled() > 0] == VERTEBRA).all()
    assert codes[12, 10, 57] == ABOVE
    assert codes[12, bottom + 40, 100] == BELOW
    assert codes[12, 60, 100] == REST


def possible_at(code):
    """The names of the classes that a code leaves open."""
    return {name for name, open_ in zip(CLASSES, allowed_table()[code], strict=True) if open_}


def test_two_millimetres_within_a_derived_disc_it_may_be_disc_or_not():
    codes = vertebra_codes(labelled())

    top, bottom = 30 + BODY, 30 + BODY + GAP
    middle = codes[12, top:bottom, 57]
    assert middle.tolist() == [RIM, RIM, *[DISC] * (GAP - 4), RIM, RIM]
    assert codes[12, (top + bottom) // 2, 40:44].tolist() == [RIM, RIM, DISC, DISC]
    assert (codes[3:5, top:bottom, 50] == RIM).all()  # its outermost slices
    assert possible_at(RIM) == {"background", "disc"}


def test_of_a_disc_as_thin_as_its_rim_the_middle_is_disc():
    labels = np.zeros((24, 120, 120), np.uint8)
    labels[3:-3, 30:56, 40:74], labels[3:-3, 59:85, 40:74] = 2, 1

    assert vertebra_codes(labels)[12, 56:59, 57].tolist() == [RIM, DISC, RIM]


def test_where_discs_alone_are_drawn_bone_stays_open_and_so_does_what_lies_above():
    labels = np.zeros((24, 160, 120), np.uint8)
    labels[3:-3, 60:70, 40:74], labels[3:-3, 100:110, 40:74] = 2, 1

    codes = disc_codes(labels)

    assert (codes[labels > 0] == DISC).all()
    assert codes[12, 85, 57] == NO_DISC and possible_at(NO_DISC) == set(CLASSES) - {"disc"}
    assert codes[12, 30, 57] == ABOVE and "disc" in possible_at(ABOVE)
    assert codes[12, 130, 57] == BELOW and "vertebra" not in possible_at(BELOW)


def test_a_core_of_the_sacrum_lies_below_the_lowest_body_in_the_middle_slices():
    codes = vertebra_codes(labelled())

    slices, rows, columns = np.nonzero(codes == SACRUM)
    bottom = 30 + 3 * (BODY + GAP) - GAP
    assert rows.min() > bottom + 2 and rows.max() < bottom + 40
    assert columns.min() >= 40 and columns.max() <= 80
    assert slices.min() > 0 and slices.max() < 23


def test_the_papers_classes_give_every_vertebra_and_disc_its_level():
    codes = paper_codes(labelled())  # L5, L4, L3

    tops = {"L3": 30, "L4": 30 + BODY + GAP, "L5": 30 + 2 * (BODY + GAP)}
    assert {name: PAPER_CLASSES[codes[12, top + 5, 57]] for name, top in tops.items()} == {n: n for n in tops}
    assert PAPER_CLASSES[codes[12, tops["L4"] - GAP // 2, 57]] == "L3/L4"
    assert PAPER_CLASSES[codes[12, tops["L5"] - GAP // 2, 57]] == "L4/L5"
    assert PAPER_CLASSES[1] == "S" and (codes == 1).any()


def test_what_nobody_drew_above_and_below_stays_open_in_the_papers_classes():
    codes = paper_codes(labelled())
    allowed = allowed_table("paper")

    def possible(slice_, row, column):
        return {name for name, open_ in zip(PAPER_CLASSES, allowed[codes[slice_, row, column]], strict=True) if open_}

    bottom = 30 + 3 * (BODY + GAP) - GAP
    assert len(PAPER_CLASSES) == len(set(PAPER_CLASSES)) == allowed.shape[1] == 20
    assert possible(12, bottom + 40, 100) == {"background", "S", "L5/S"}
    assert {"T12", "T9", "T12/L1"} < possible(12, 10, 57) and "L5" not in possible(12, 10, 57)
    assert possible(12, 60, 100) == {"background"}


def drawn_slice(*, lowest_disc=True):
    """Bodies (2) with discs (1) between; the last body lies below the last disc: the sacrum."""
    labels = np.zeros((160, 80), np.uint8)
    for place in range(4):
        labels[10 + place * 35 : 34 + place * 35, 30:55] = 2
        if place < 3:
            labels[34 + place * 35 : 45 + place * 35, 30:55] = 1
    if not lowest_disc:
        labels[104:115] = 0
    return labels


def test_the_bone_below_the_lowest_disc_is_the_sacrum():
    codes = slice_codes(drawn_slice())

    assert codes[125, 40] == SACRUM
    assert codes[90, 40] == VERTEBRA and codes[38, 40] == DISC and codes[5, 5] == REST


def test_of_two_bones_below_the_lowest_disc_only_the_lower_is_the_sacrum():
    codes = slice_codes(drawn_slice(lowest_disc=False))

    assert codes[90, 40] == VERTEBRA and codes[125, 40] == SACRUM


def test_a_slice_without_vertebrae_knows_only_what_was_drawn():
    labels = drawn_slice()
    labels[labels == 2] = 0

    codes = slice_codes(labels)

    assert codes[38, 40] == DISC and codes[5, 5] == UNKNOWN


def test_intensities_fill_eight_bits():
    image = to_uint8(np.linspace(-5, 3000, 10_000).reshape(100, 100))

    assert (image.min(), image.max()) == (0, 255)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("count", [2, 5])
def test_each_gap_has_a_disc(count):
    codes = vertebra_codes(labelled(count))

    column = codes[12, :, 57]
    assert int((np.diff((column == DISC).astype(int)) == 1).sum()) == count - 1
