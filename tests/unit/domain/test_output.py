"""Slots of results: which form each is, and what goes in its place where it is refused."""

import pytest

from dicom_ai.domain.output import (
    MASKS,
    OUTPUTS,
    PICTURE_SLOT,
    SR_FALLBACK_SLOT,
    SR_SLOT,
    Output,
    next_best,
    note_slot,
    output_of,
    seg_slot,
)


def test_every_form_is_described():
    assert set(OUTPUTS) == set(Output)


@pytest.mark.parametrize("output", sorted(MASKS))
def test_the_slot_of_a_seg_says_its_form(output):
    assert output_of(seg_slot("spinal-cord", "1.2.3", output)) is output


def test_a_note_is_known_by_its_slot_whatever_the_destination_is_called():
    assert output_of(note_slot("north: pacs")) is Output.REJECTION_NOTE


@pytest.mark.parametrize(
    ("slot", "instead"),
    [
        ("seg:cord:1.2:labelmap", "seg:cord:1.2"),
        ("seg:cord:1.2", PICTURE_SLOT),
        ("seg:cord:1.2:soft", PICTURE_SLOT),
        ("seg:film:1.2:xray", PICTURE_SLOT),
        (SR_SLOT, SR_FALLBACK_SLOT),
        (SR_FALLBACK_SLOT, PICTURE_SLOT),
        ("pdf", PICTURE_SLOT),
        (PICTURE_SLOT, None),
        ("ko:pacs", None),
    ],
)
def test_what_is_refused_goes_in_another_form(slot, instead):
    assert next_best(slot) == instead
