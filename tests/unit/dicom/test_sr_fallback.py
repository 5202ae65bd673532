"""The report for archives that take no Comprehensive 3D SR."""

from pydicom import dcmread

from dicom_ai.dicom.sr_fallback import as_comprehensive_sr, fallback_identity
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.output import SR_FALLBACK_SLOT
from dicom_ai.domain.result import ResultKind
from tests import builders
from tests.unit.dicom import results

COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"


def written(folder):
    """Write a report of two levels, and return its file, its identity and itself."""
    neck = results.read(builders.mr_series(), folder / "mr")
    identity = results.identity(ResultKind.SR)
    report = results.report(neck, *(results.finding(neck, one, one) for one in ("C2", "C3")), identity=identity)
    path = folder / "sr.dcm"
    report.save_as(path, enforce_file_format=True)
    return path, identity, dcmread(path)


def test_the_tree_is_the_same_to_the_last_item(tmp_path):
    path, identity, report = written(tmp_path)

    derived = as_comprehensive_sr(path, fallback_identity(identity, None))

    assert derived.SOPClassUID == derived.file_meta.MediaStorageSOPClassUID == COMPREHENSIVE_SR
    assert derived.ContentSequence == report.ContentSequence
    changed = {element.keyword for element in derived if element != report.get(element.tag)}
    assert changed == {"SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber"}
    assert read_sr(derived).findings == read_sr(report).findings


def test_it_is_an_object_of_its_own_in_a_series_of_its_own(tmp_path):
    path, identity, _ = written(tmp_path)
    own = fallback_identity(identity, None)

    derived = as_comprehensive_sr(path, own)

    assert (own.slot, own.series_number) == (SR_FALLBACK_SLOT, identity.series_number + 1)
    assert own.created_at == identity.created_at
    assert derived.SOPInstanceUID == derived.file_meta.MediaStorageSOPInstanceUID == own.sop_instance_uid
    assert own.sop_instance_uid != identity.sop_instance_uid
    assert own.series_uid != identity.series_uid


def test_the_same_identity_makes_the_same_bytes(tmp_path):
    path, identity, _ = written(tmp_path)
    own = fallback_identity(identity, None)
    first, second = tmp_path / "1.dcm", tmp_path / "2.dcm"

    for target in (first, second):
        as_comprehensive_sr(path, own).save_as(target, enforce_file_format=True)

    assert first.read_bytes() == second.read_bytes()


def test_it_replaces_the_fall_back_of_the_run_before(tmp_path):
    path, identity, report = written(tmp_path)
    before = (str(report.StudyInstanceUID), "1.2.3", "1.2.3.4")

    derived = as_comprehensive_sr(path, fallback_identity(identity, before))

    [study] = derived.PredecessorDocumentsSequence
    [series] = study.ReferencedSeriesSequence
    [instance] = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID, instance.ReferencedSOPInstanceUID) == before
    assert instance.ReferencedSOPClassUID == COMPREHENSIVE_SR
