"""Label values of a model become numbered, named segments."""

import numpy as np

from dicom_ai.domain.findings import Structure, StructureKind
from dicom_ai.inference.manifest import OutputSegment
from dicom_ai.inference.segments import labelled

OUTPUTS = (
    OutputSegment(3, Structure(StructureKind.VERTEBRA, "C3 vertebra", "C3")),
    OutputSegment(200, Structure(StructureKind.DISC, "C2/C3 disc", "C2/C3")),
    OutputSegment(7, Structure(StructureKind.SPINAL_CORD, "Spinal cord")),
)


def test_segments_are_numbered_without_gaps_and_absent_ones_are_left_out():
    result = labelled(np.array([[0, 200, 200], [7, 5, 0]]), OUTPUTS)

    assert result.labels.tolist() == [[0, 1, 1], [2, 0, 0]]
    assert [segment.structure.name for segment in result.segments] == ["C2/C3 disc", "Spinal cord"]
    assert [segment.number for segment in result.segments] == [1, 2]


def test_every_segment_has_a_tracking_uid_of_its_own():
    result = labelled(np.array([3, 200, 7]), OUTPUTS)

    uids = {segment.tracking_uid for segment in result.segments}
    assert len(uids) == 3
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_nothing_found_is_no_segment():
    result = labelled(np.zeros((2, 2), np.uint16), OUTPUTS)

    assert result.segments == ()
    assert result.labels.dtype == np.uint8
