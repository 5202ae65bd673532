"""Which results go where."""

import pytest

from dicom_ai.domain.destination import Destination
from dicom_ai.domain.output import PICTURE_SLOT, SR_SLOT, Output, note_slot, seg_slot
from dicom_ai.domain.run import Request
from dicom_ai.domain.sending import Asked, forms_wanted, places_of

PACS = Destination("pacs", "c_store")
OLD = Destination("old", "c_store", outputs=frozenset({Output.PDF, Output.PICTURE}))
LAB = Destination("lab", "folder", outputs=frozenset({Output.SOFT_SEG, Output.LABELMAP, Output.REJECTION_NOTE}))
EVERYWHERE = {item.name: item for item in (PACS, OLD, LAB)}


def asked(*destinations: str, outputs: tuple[str, ...] = ("seg", "sr"), shadow: bool = False) -> list[Asked]:
    return [Asked("cord", "1.2", Request("rule", shadow, destinations, outputs))]


@pytest.mark.parametrize(
    ("slot", "places"),
    [
        (seg_slot("cord", "1.2"), {"pacs"}),
        (seg_slot("cord", "1.2", Output.LABELMAP), {"lab"}),
        (seg_slot("cord", "1.2", Output.SOFT_SEG), {"lab"}),
        (seg_slot("cord", "9.9"), set()),
        (seg_slot("cord", "1.2", Output.XRAY_SEG), set()),
        (SR_SLOT, {"pacs"}),
        ("pdf", {"old"}),
        (PICTURE_SLOT, {"old"}),
        (note_slot("lab"), {"lab"}),
        (note_slot("pacs"), set()),
    ],
)
def test_each_destination_gets_the_forms_it_has_chosen(slot, places):
    assert places_of(slot, asked(), EVERYWHERE) == places


def test_a_rule_may_name_fewer_destinations():
    assert places_of("pdf", asked("pacs"), EVERYWHERE) == set()
    assert places_of(SR_SLOT, asked("pacs"), EVERYWHERE) == {"pacs"}


def test_a_rule_that_wants_no_masks_sends_none():
    assert places_of(seg_slot("cord", "1.2"), asked(outputs=("sr",)), EVERYWHERE) == set()


def test_a_rule_that_asks_for_overlays_sends_the_picture_everywhere():
    wanted = asked(outputs=("seg", "sr", "overlay"))

    assert places_of(PICTURE_SLOT, wanted, EVERYWHERE) == {"pacs", "old", "lab"}


def test_a_rule_in_shadow_sends_nothing():
    assert places_of(SR_SLOT, asked(shadow=True), EVERYWHERE) == set()
    assert forms_wanted(asked(shadow=True), EVERYWHERE) == frozenset()


def test_a_destination_that_is_gone_from_the_settings_keeps_its_results_waiting():
    assert places_of(SR_SLOT, asked("gone"), EVERYWHERE) == {"gone"}


def test_what_nobody_wants_is_not_written():
    assert forms_wanted(asked("pacs", "old"), EVERYWHERE) == {Output.SEG, Output.SR, Output.PDF, Output.PICTURE}
