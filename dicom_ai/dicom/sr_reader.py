"""Our own reports read back into findings: for the demo, for priors, and to prove what was written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_ai.dicom import codes as our
from dicom_ai.dicom.headers import PARSE_ERRORS
from dicom_ai.dicom.person import date_of, person_of
from dicom_ai.dicom.sr_groups import NOT_MEASURED
from dicom_ai.domain.findings import Contour, Finding, Quantity, Structure, StructureKind
from dicom_ai.domain.image import SourceImage
from dicom_ai.domain.prior import Acquisition, Maker, Person
from dicom_ai.domain.result import MANUFACTURER
from dicom_ai.errors import NotDicom, RejectedInput

_FINDING_SITE = "363698007"
_QUALITIES = {code.value: quality for quality, code in our.QUALITY_VALUES.items()}
_CHANGES = {code.value: change for change, code in our.CHANGE_VALUES.items()}
_LEVELS = {code.value: level for table in (our.VERTEBRAE, our.DISCS) for level, code in table.items()}
_KINDS = {
    our.SPINAL_CORD.value: StructureKind.SPINAL_CORD,
    our.VERTEBRAL_CANAL.value: StructureKind.SPINAL_CANAL,
    our.VERTEBRA.value: StructureKind.VERTEBRA,
    our.DISC.value: StructureKind.DISC,
    our.SACRUM.value: StructureKind.SACRUM,
}


class ForeignReport(RejectedInput):
    """The object is no report of this product."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report as it was read back. notes: what stood above all findings. models: (name, version), each once.

    run: which report of its study it is. study_date: YYYYMMDD, or "". acquisitions: series UID -> what made its images;
    old reports do not say it. makers: tracking UID -> the model that made the finding.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    complete: bool
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    models: tuple[tuple[str, str], ...]
    sop_class_uid: str = ""
    run: int = 1
    person: Person = field(default_factory=Person)
    study_date: str = ""
    acquisitions: Mapping[str, Acquisition] = field(default_factory=dict, repr=False)
    makers: Mapping[str, Maker] = field(default_factory=dict, repr=False)


def read_sr(report: Path | Dataset, sources: Sequence[SourceImage] = ()) -> Report:
    """Return the findings of one of our reports.

    sources: the images that outlines may lie on; a finding whose image is not among them has no contour.
    Raises NotDicom, and ForeignReport for an object that is not ours.
    """
    dataset = report if isinstance(report, Dataset) else _read(report)
    if dataset.get("Manufacturer") != MANUFACTURER or dataset.get("Modality") != "SR":
        raise ForeignReport("not a report made by this product")
    try:
        return _report(dataset, sources)
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        raise NotDicom(f"a report of this product that cannot be read ({type(error).__name__})") from None


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path)
    except PARSE_ERRORS as error:
        raise NotDicom(f"{path.name}: cannot be parsed as DICOM ({type(error).__name__})") from None


def _report(dataset: Dataset, sources: Sequence[SourceImage]) -> Report:
    groups = [
        group
        for container in _named(dataset, codes.DCM.ImagingMeasurements)
        for group in _named(container, codes.DCM.MeasurementGroup)
    ]
    series_of = _series_of_images(dataset)
    makers = dict(_makers(groups))
    return Report(
        study_uid=str(dataset.StudyInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        complete=dataset.CompletionFlag == "COMPLETE",
        findings=tuple(_finding(group, series_of, sources) for group in groups),
        notes=tuple(_notes(dataset)),
        models=tuple(dict.fromkeys((maker.name, maker.version) for maker in makers.values())),
        sop_class_uid=str(dataset.SOPClassUID),
        run=int(dataset.get("InstanceNumber") or 1),
        person=person_of(dataset),
        study_date=date_of(dataset),
        acquisitions=dict(_acquisitions(dataset, series_of)),
        makers=makers,
    )


def _finding(group: Dataset, series_of: dict[str, str], sources: Sequence[SourceImage]) -> Finding:
    structure = _structure(_code(_one(group, codes.DCM.Finding)))
    site, level = _site(_code(next(item for item in _items(group) if _name(item) == _FINDING_SITE)), structure)
    sentences = [str(item.TextValue) for item in _named(group, codes.DCM.Comment)]
    reasons = dict(_reasons(sentences))
    changes = _named(group, our.CHANGE)
    image, contour = _outline(group, sources)
    return Finding(
        structure=structure,
        site=site,
        site_level=level,
        series_uid=series_of.get(image, ""),
        tracking_id=str(_one(group, codes.DCM.TrackingIdentifier).TextValue),
        tracking_uid=str(_one(group, codes.DCM.TrackingUniqueIdentifier).UID),
        quantities=tuple(_quantities(group, reasons)),
        quality=_QUALITIES[_code(_one(group, our.QUALITY)).value],
        notes=tuple(sentence for sentence in sentences if NOT_MEASURED not in sentence),
        contour=contour,
        change=_CHANGES[_code(changes[0]).value] if changes else None,
    )


def _structure(code: Code) -> Structure:
    if code.value in _LEVELS:
        level = _LEVELS[code.value]
        kind = StructureKind.DISC if "/" in level else StructureKind.VERTEBRA
        return Structure(kind, code.meaning, level)
    if code.value in _KINDS:
        return Structure(_KINDS[code.value], code.meaning)
    return Structure(StructureKind.OTHER, code.meaning, None, (code.value, code.scheme_designator, code.meaning))


def _site(code: Code, structure: Structure) -> tuple[str, str | None]:
    """Return where a finding is in words, and its level."""
    if code.value in _LEVELS:
        return _LEVELS[code.value], _LEVELS[code.value]
    if code.scheme_designator == our.SCHEME and not code.value.startswith("SITE-"):
        level = code.value.replace("-", "/")
        return level, level
    return (structure.name if code.value == our.structure_code(structure).value else code.meaning), None


def _quantities(group: Dataset, reasons: dict[str, str]) -> Iterator[Quantity]:
    for item in _items(group):
        if item.ValueType == "NUM" and _name(item) in our.KEYS_BY_VALUE:
            key = our.KEYS_BY_VALUE[_name(item)]
            measured = item.get("MeasuredValueSequence")
            if measured:
                yield Quantity(key, float(measured[0].NumericValue))
            else:
                yield Quantity(key, None, reasons.get(str(item.ConceptNameCodeSequence[0].CodeMeaning), ""))


def _reasons(sentences: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return displayed name -> reason of the numbers that are said to be missing."""
    for sentence in sentences:
        names, separator, reason = sentence.partition(NOT_MEASURED)
        if separator:
            for name in names.split("; "):
                yield name, reason.strip()[1:-1]


def _outline(group: Dataset, sources: Sequence[SourceImage]) -> tuple[str, Contour | None]:
    """Return the SOP Instance UID of the outlined image, and the outline where that image is known."""
    region = _one(group, codes.DCM.ImageRegion)
    reference = region.ContentSequence[0].ReferencedSOPSequence[0]
    uid, frame = str(reference.ReferencedSOPInstanceUID), reference.get("ReferencedFrameNumber")
    meaning = _code(_one(group, our.OUTLINE)).value
    if meaning == our.OUTLINE_SEARCHED.value:
        return uid, None
    points = np.array(region.GraphicData, np.float32).reshape(-1, 2)
    for source in sources:
        for index, known in enumerate(source.frames):
            if known.sop_instance_uid == uid and (frame is None or known.frame_number == int(frame)):
                locates = meaning == our.OUTLINE_LOCATES.value
                return uid, Contour(source.series_uid, index, points, locates_only=locates)
    return uid, None


def _series_of_images(dataset: Dataset) -> dict[str, str]:
    return {
        str(image.ReferencedSOPInstanceUID): str(series.SeriesInstanceUID)
        for study in dataset.get("CurrentRequestedProcedureEvidenceSequence") or []
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }


def _notes(dataset: Dataset) -> Iterator[str]:
    for container in _items(dataset):
        if _name(container) == our.QUALITATIVE_EVALUATIONS.value:
            yield from (str(item.TextValue) for item in _named(container, codes.DCM.Comment))
        if _name(container) == codes.DCM.Findings.value:
            yield from (str(item.TextValue) for item in _named(container, codes.DCM.Finding))


def _makers(groups: Sequence[Dataset]) -> Iterator[tuple[str, Maker]]:
    for group in groups:
        names, versions = _named(group, codes.DCM.AlgorithmName), _named(group, codes.DCM.AlgorithmVersion)
        if names and versions:
            parameters = (str(item.TextValue) for item in _named(group, codes.DCM.AlgorithmParameters))
            said = dict(text.split("=", 1) for text in parameters if "=" in text)
            maker = Maker(
                str(names[0].TextValue), str(versions[0].TextValue), said.get("family", ""), said.get("sha256", "")
            )
            yield str(_one(group, codes.DCM.TrackingUniqueIdentifier).UID), maker


def _acquisitions(dataset: Dataset, series_of: Mapping[str, str]) -> Iterator[tuple[str, Acquisition]]:
    """Return series UID -> what the Image Library says made its images."""
    for library in _named(dataset, codes.DCM.ImageLibrary):
        for group in _named(library, codes.DCM.ImageLibraryGroup):
            for image in _items(group):
                uid = str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
                texts = {_name(item): str(item.TextValue) for item in _items(image) if item.ValueType == "TEXT"}
                made = Acquisition(texts.get(our.SCANNER.value, ""), texts.get(our.CONTRAST.value, ""))
                yield series_of.get(uid, ""), made


def _items(container: Dataset) -> Sequence[Dataset]:
    return container.get("ContentSequence") or []


def _name(item: Dataset) -> str:
    name = item.get("ConceptNameCodeSequence")
    return str(name[0].CodeValue) if name else ""


def _named(container: Dataset, name: Code) -> list[Dataset]:
    return [item for item in _items(container) if _name(item) == name.value]


def _one(container: Dataset, name: Code) -> Dataset:
    return _named(container, name)[0]


def _code(item: Dataset) -> Code:
    code = item.ConceptCodeSequence[0]
    return Code(str(code.CodeValue), str(code.CodingSchemeDesignator), str(code.CodeMeaning))
