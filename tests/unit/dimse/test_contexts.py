"""What is offered and accepted."""

import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    SegmentationStorage,
)

from dicom_ai.dimse.contexts import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, acceptor_contexts, requestor_contexts
from tests.peers import REPOSITORY

LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


def test_every_storage_class_is_accepted():
    assert len(STORAGE_SOP_CLASSES) == 170
    assert {LABEL_MAP_SEGMENTATION, PARAMETRIC_MAP} <= set(STORAGE_SOP_CLASSES)


def test_explicit_vr_comes_first_everywhere():
    assert {context.transfer_syntax[0] for context in acceptor_contexts()} == {ExplicitVRLittleEndian}


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_what_is_accepted_can_be_decoded(syntax: str):
    assert get_decoder(syntax).is_available


def test_an_explicit_vr_object_is_offered_in_implicit_vr_too_each_in_a_context_of_its_own():
    offered = requestor_contexts([(SegmentationStorage, ExplicitVRLittleEndian)] * 3)

    assert [(c.abstract_syntax, c.transfer_syntax) for c in offered] == [
        (SegmentationStorage, [ExplicitVRLittleEndian]),
        (SegmentationStorage, [ImplicitVRLittleEndian]),
    ]


def test_a_compressed_object_is_offered_as_it_is():
    offered = requestor_contexts([(MRImageStorage, JPEG2000Lossless)])

    assert [c.transfer_syntax for c in offered] == [[JPEG2000Lossless]]


def test_more_kinds_than_an_association_has_contexts_are_refused():
    with pytest.raises(ValueError, match=r"^130 presentation contexts are needed and an association has 128$"):
        requestor_contexts([(uid, ExplicitVRLittleEndian) for uid in STORAGE_SOP_CLASSES[:65]])


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_the_conformance_statement_names_every_transfer_syntax(syntax: str):
    assert syntax in (REPOSITORY / "docs" / "conformance.md").read_text(encoding="utf-8")
