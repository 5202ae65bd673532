"""A report for archives that take no Comprehensive 3D SR: the same tree as Comprehensive SR (PS3.3 A.35.3).

Outlines are image coordinates (SCOORD), and nothing else in the tree needs the newer class, so not an item changes.
"""

from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ComprehensiveSRStorage

from dicom_ai.dicom.result_stamp import series_description
from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.output import SR_FALLBACK_SLOT
from dicom_ai.domain.result import ResultIdentity


def fallback_identity(report: ResultIdentity, predecessor: tuple[str, str, str] | None) -> ResultIdentity:
    """Return a new identity for the fall-back of a report; save it before writing.

    It gets a series of its own, right behind the report's: an archive that is sent both keeps them apart.
    predecessor: (study, series, SOP instance) of the fall-back that an earlier run sent.
    """
    return ResultIdentity(
        kind=report.kind,
        series_uid=new_uid(),
        sop_instance_uid=new_uid(),
        series_number=report.series_number + 1,
        run=report.run,
        created_at=report.created_at,
        predecessor=predecessor,
        slot=SR_FALLBACK_SLOT,
    )


def as_comprehensive_sr(path: Path, identity: ResultIdentity) -> Dataset:
    """Return the report in a file as Comprehensive SR under an identity; the same call makes the same bytes."""
    report = dcmread(path)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = UID(identity.sop_instance_uid)
    report.SeriesInstanceUID, report.SeriesNumber = identity.series_uid, identity.series_number
    report.SeriesDescription = series_description("report", identity)
    report.pop("PredecessorDocumentsSequence", None)
    if identity.predecessor is not None:
        report.PredecessorDocumentsSequence = [_predecessor(*identity.predecessor)]
    return report


def _predecessor(study_uid: str, series_uid: str, sop_instance_uid: str) -> Dataset:
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = ComprehensiveSRStorage, sop_instance_uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = series_uid, [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = study_uid, [series]
    return study
