"""The report of a study: Comprehensive 3D SR, TID 1500, one group per finding; a plain text tree where there is none.

A report without findings has another title than 126000: viewers that draw measurements show such a tree as text, while
a measurement report without groups is an error to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import highdicom as hd
from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage

from dicom_ai.dicom import codes as our
from dicom_ai.dicom.result_stamp import stamp, stated, without_name
from dicom_ai.dicom.source_headers import source_headers
from dicom_ai.dicom.sr_groups import comment, empty_failed_numbers, measurement_group
from dicom_ai.dicom.sr_library import image_library
from dicom_ai.dicom.sr_observer import device_observer
from dicom_ai.dicom.sr_reader import Report
from dicom_ai.domain.findings import Finding
from dicom_ai.domain.image import SourceImage
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.prior import Acquisition
from dicom_ai.domain.result import ResultIdentity, ResultObject
from dicom_ai.domain.study import Series
from dicom_ai.errors import RejectedInput

_LANGUAGE = CodedConcept("en", "RFC5646", "English")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a report rests on. The first series stands for the patient and the study.

    series: headers and files of every series that was looked at, refused ones too. sources: those that became images.
    segs: SEGs of the same run. models: tracking UID of a finding -> the model that made it. acquisitions: series UID ->
    what a later report compares. earlier: the report of another study that findings are compared with.
    """

    series: Sequence[Series]
    sources: Sequence[SourceImage] = ()
    segs: Sequence[ResultObject] = ()
    models: Mapping[str, ModelReference] = field(default_factory=dict)
    acquisitions: Mapping[str, Acquisition] = field(default_factory=dict)
    earlier: Report | None = None


def write_sr(
    findings: Sequence[Finding],
    evidence: Evidence,
    *,
    identity: ResultIdentity,
    models: Sequence[ModelReference],
    complete: bool,
    notes: Sequence[str] = (),
) -> Dataset:
    """Return the report of a study.

    models: every model that looked at the study. complete: False makes the CompletionFlag PARTIAL.
    notes: sentences that stand above all findings.
    Raises ValueError where an outline does not lie on its image or two findings share a tracking UID.
    """
    _check_tracking(findings)
    header = report_header(evidence)
    if findings:
        content = _measurements(findings, evidence, header=header, models=models, notes=notes)
    else:
        content = _text(header, models=models, notes=notes)
    report = hd.sr.Comprehensive3DSR(
        evidence=[without_name(header), *_other_evidence(evidence, header)],
        content=content,
        is_complete=complete,
        is_final=False,
        is_verified=False,
        requested_procedures=_requests(header) or None,
        previous_versions=[_predecessor(identity)] if identity.predecessor else None,
        transfer_syntax_uid=hd.UID("1.2.840.10008.1.2.1"),
        **stated(identity, models, what="report"),
    )
    empty_failed_numbers(report)
    stamp(report, header, identity)
    return report


def _check_tracking(findings: Sequence[Finding]) -> None:
    uids = [finding.tracking_uid for finding in findings]
    if len(set(uids)) < len(uids):
        raise ValueError("two findings share a tracking UID; viewers would merge them")


def _outlined(finding: Finding, sources: Mapping[str, SourceImage]) -> tuple[SourceImage, int]:
    """Return the image that carries the finding's outline, and which of its frames."""
    source = _source_of(finding, sources)
    return source, finding.contour.slice_index if finding.contour else len(source.frames) // 2


def _source_of(finding: Finding, sources: Mapping[str, SourceImage]) -> SourceImage:
    uid = finding.contour.series_uid if finding.contour else finding.series_uid
    if uid not in sources:
        raise ValueError(f"a finding lies on series {uid}, which is not among the sources")
    return sources[uid]


def report_header(evidence: Evidence) -> Dataset:
    """Return the normalised header that says whose study it is, rather of an analysed series than of another."""
    analysed = {source.series_uid for source in evidence.sources}
    for series in sorted(evidence.series, key=lambda one: one.series_uid not in analysed):
        first = series.instances[0].sop_instance_uid
        for header in source_headers(series, only=frozenset([first])).values():
            return header
    raise RejectedInput("no image of the study has a file; there is no patient to report on")


def _other_evidence(evidence: Evidence, header: Dataset) -> list[Dataset]:
    """Return references to every image that was analysed, to the SEGs, and to the report that is compared with."""
    study = str(header.StudyInstanceUID)
    references = [
        _reference(frame.sop_class_uid, frame.sop_instance_uid, study_uid=study, series_uid=source.series_uid)
        for source in evidence.sources
        for frame in source.frames
    ]
    references += [
        _reference(
            seg.sop_class_uid,
            seg.identity.sop_instance_uid,
            study_uid=seg.study_uid,
            series_uid=seg.identity.series_uid,
        )
        for seg in evidence.segs
    ]
    if evidence.earlier is not None:  # nothing in the tree refers to it: highdicom lists it as Pertinent Other Evidence
        earlier = evidence.earlier
        references.append(
            _reference(
                earlier.sop_class_uid,
                earlier.sop_instance_uid,
                study_uid=earlier.study_uid,
                series_uid=earlier.series_uid,
            )
        )
    return references


def _reference(sop_class_uid: str, sop_instance_uid: str, *, study_uid: str, series_uid: str) -> Dataset:
    item = Dataset()
    item.SOPClassUID, item.SOPInstanceUID = sop_class_uid, sop_instance_uid
    item.StudyInstanceUID, item.SeriesInstanceUID = study_uid, series_uid
    return item


def _predecessor(identity: ResultIdentity) -> Dataset:
    study, series, instance = identity.predecessor or ("", "", "")
    return _reference(Comprehensive3DSRStorage, instance, study_uid=study, series_uid=series)


def _measurements(
    findings: Sequence[Finding],
    evidence: Evidence,
    *,
    header: Dataset,
    models: Sequence[ModelReference],
    notes: Sequence[str],
) -> Dataset:
    """Return the root of a TID 1500 report."""
    sources = {source.series_uid: source for source in evidence.sources}
    only = models[0] if len(models) == 1 else None
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=device_observer()),
        procedure_reported=_procedures(header),
        imaging_measurements=[
            measurement_group(
                finding, _source_of(finding, sources), model=evidence.models.get(finding.tracking_uid, only)
            )
            for finding in findings
        ],
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(_LANGUAGE),
    )
    root = report[0]
    modalities = {series.series_uid: series.modality for series in evidence.series}
    outlined = [_outlined(finding, sources) for finding in findings]
    library = image_library(
        [(source, index, modalities.get(source.series_uid, "")) for source, index in outlined], evidence.acquisitions
    )
    root.ContentSequence.insert(
        len(root.ContentSequence) - 1, library
    )  # before Imaging Measurements, as TID 1500 has it
    if notes:
        root.ContentSequence.append(_container(our.QUALITATIVE_EVALUATIONS, [comment(note) for note in notes]))
    return root


def _text(header: Dataset, *, models: Sequence[ModelReference], notes: Sequence[str]) -> Dataset:
    """Return the root of a report without findings."""
    root = ContainerContentItem(name=our.NOTHING_FOUND_TITLE, is_content_continuous=False)
    root.ContentSequence = ContentSequence()
    root.ContentSequence.extend(LanguageOfContentItemAndDescendants(_LANGUAGE))
    root.ContentSequence.extend(ObservationContext(observer_device_context=device_observer()))
    for procedure in _procedures(header):
        root.ContentSequence.append(
            CodeContentItem(codes.DCM.ProcedureReported, procedure, RelationshipTypeValues.HAS_CONCEPT_MOD)
        )
    result = CodeContentItem(our.ANALYSIS_RESULT, our.NOTHING_MEASURED, RelationshipTypeValues.CONTAINS)
    sentences = [comment(note, name=codes.DCM.Finding) for note in notes]
    root.ContentSequence.append(_container(codes.DCM.Findings, [result, *sentences]))
    algorithms = [
        comment(f"{model.name} {model.version} (sha256 {model.digest})", name=codes.DCM.AlgorithmName)
        for model in models
    ]
    if algorithms:
        root.ContentSequence.append(_container(our.ALGORITHMS, algorithms))
    return root


def _container(name: Code, items: Sequence[CodeContentItem | TextContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(
        name=name, is_content_continuous=False, relationship_type=RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = ContentSequence(items)
    return container


def _procedures(header: Dataset) -> list[CodedConcept]:
    """Return what the source says was done, else the modality's unspecific procedure."""
    for keyword in ("ProcedureCodeSequence", "RequestedProcedureCodeSequence"):
        stated_codes = [_valid_code(item) for item in header.get(keyword) or []]
        found = [code for code in stated_codes if code is not None]
        if found:
            return found
    return [CodedConcept.from_code(our.PROCEDURES.get(str(header.get("Modality")), our.IMAGING_PROCEDURE))]


def _valid_code(item: Dataset) -> CodedConcept | None:
    value, scheme, meaning = (
        str(item.get(keyword) or "").strip() for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    )
    if not (value and scheme and meaning) or len(value) > 16 or len(scheme) > 16 or len(meaning) > 64:
        return None
    return CodedConcept(value, scheme, meaning)


def _requests(header: Dataset) -> list[Dataset]:
    """Return Referenced Request Sequence (0040,A370) where the source tells which procedure was requested."""
    requests = []
    for attributes in header.get("RequestAttributesSequence") or []:
        if attributes.get("RequestedProcedureID"):
            item = Dataset()
            item.StudyInstanceUID = header.StudyInstanceUID
            item.ReferencedStudySequence = Items()
            item.AccessionNumber = attributes.get("AccessionNumber") or header.AccessionNumber
            item.PlacerOrderNumberImagingServiceRequest = ""
            item.FillerOrderNumberImagingServiceRequest = ""
            item.RequestedProcedureID = attributes.RequestedProcedureID
            item.RequestedProcedureDescription = attributes.get("RequestedProcedureDescription") or ""
            item.RequestedProcedureCodeSequence = attributes.get("RequestedProcedureCodeSequence") or Items()
            requests.append(item)
    return requests
