"""Rejection notes: what they reject, of whom, and what an archive reads from them."""

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import pytest
from pydicom import dcmread

from dicom_ai.dicom.ko_writer import RejectionReason, write_rejection_note
from dicom_ai.domain.result import ResultKind, ResultObject
from dicom_ai.errors import RejectedInput
from tests import builders
from tests.unit.dicom import results


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A SEG and an SR of one study, as an archive has them."""
    folder = tmp_path_factory.mktemp("sent")
    source = builders.mr_series(PatientName="Παπαδοπούλου^Μαρία", SpecificCharacterSet="ISO_IR 126")
    image = results.read(source, folder / "source")
    _, seg = results.seg_of(image, folder=folder)
    named = results.identity(ResultKind.SR)
    report = results.report(image, results.finding(image, "C3", "C3"), identity=named)
    report.save_as(folder / "sr.dcm", enforce_file_format=True)
    return seg, ResultObject(named, str(report.SOPClassUID), image.series.study_uid, "", folder / "sr.dcm")


def _note(sent, **options):
    return write_rejection_note(
        sent, **{"identity": results.identity(ResultKind.KO), "reason": RejectionReason.REPLACED, **options}
    )


def test_a_note_lists_every_rejected_object_with_its_series(sent, tmp_path):
    _note(sent).save_as(tmp_path / "ko.dcm", enforce_file_format=True)

    note = hd.ko.KeyObjectSelectionDocument.from_dataset(dcmread(tmp_path / "ko.dcm"))

    assert [note.resolve_reference(item.identity.sop_instance_uid) for item in sent] == [
        (item.study_uid, item.identity.series_uid, item.identity.sop_instance_uid) for item in sent
    ]
    content = [item for item in note.ContentSequence if item.ValueType in ("IMAGE", "COMPOSITE")]
    assert [item.ValueType for item in content] == ["IMAGE", "COMPOSITE"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPClassUID for item in content] == [
        item.sop_class_uid for item in sent
    ]


@pytest.mark.parametrize(("reason", "code"), [(RejectionReason.REPLACED, "113001"), (RejectionReason.UNSAFE, "113037")])
def test_the_title_is_the_reason(sent, reason, code):
    title = _note(sent, reason=reason).ConceptNameCodeSequence[0]

    assert (title.CodeValue, title.CodingSchemeDesignator) == (code, "DCM")


def test_a_note_belongs_to_patient_and_study_of_what_it_rejects(sent):
    note, report = _note(sent), dcmread(sent[1].path)

    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert str(note[keyword].value) == str(report[keyword].value), keyword
    assert note.PatientName == "Παπαδοπούλου^Μαρία"
    assert note.SpecificCharacterSet == "ISO_IR 192"
    assert note.SeriesDescription == "AI rejection note (RUO)"


def test_a_sentence_for_people_is_in_the_note(sent):
    note = _note(sent, text="run 2 replaces run 1")

    described = [item for item in note.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "113012"]
    assert [item.TextValue for item in described] == ["run 2 replaces run 1"]


def test_one_file_that_is_left_is_enough(sent):
    seg, report = sent

    note = _note([replace(seg, path=Path("/nowhere/seg.dcm")), report])

    assert len(note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence) == 2


def test_without_any_file_there_is_no_patient_to_write_for(sent):
    with pytest.raises(RejectedInput, match="no rejected result can be read"):
        _note([replace(item, path=Path("/nowhere/result.dcm")) for item in sent])


@pytest.mark.parametrize("studies", [(), ("1.2.3", "1.2.4")])
def test_a_note_is_about_one_study(sent, studies):
    with pytest.raises(ValueError, match="one study"):
        _note([replace(sent[0], study_uid=uid) for uid in studies])
