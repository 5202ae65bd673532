"""Headers of stored objects as domain values: one file, one data set, or everything under some paths.

Messages carry paths and keywords, never values: a value may be a patient's.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_ai.dicom.completeness import check_complete
from dicom_ai.dicom.functional_groups import common_elements, frame_elements, geometry_of, is_multiframe_with_groups
from dicom_ai.dicom.header_text import header_elements
from dicom_ai.dicom.uids import is_valid_uid
from dicom_ai.domain.study import Element, FrameGeometry, Instance, Series
from dicom_ai.errors import MissingIdentity, NotDicom, RejectedInput

# pydicom's warnings on malformed values quote the values, which may be a patient's
config.settings.reading_validation_mode = config.IGNORE

PARSE_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    MemoryError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on bytes that are not DICOM."""

_IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
_PREAMBLE_LENGTH = 128
_FIRST_GROUPS = frozenset({0x0002, 0x0008})
_LARGE_VALUE = 1 << 22

_CODE_SEQUENCES = (
    "ProcedureCodeSequence",
    "RequestedProcedureCodeSequence",
    "PerformedProtocolCodeSequence",
    "ViewCodeSequence",
    "AnatomicRegionSequence",
    "PrimaryAnatomicStructureSequence",
    "ContrastBolusAgentSequence",
    "ReasonForPerformedProcedureCodeSequence",
)
"""Sequences of codes that rules look at: lifted as the meanings (or values) of their items."""

_REQUEST_KEYWORDS = (
    "RequestedProcedureDescription",
    "ScheduledProcedureStepDescription",
    "RequestedProcedureID",
    "RequestedProcedurePriority",
)

_MADE_BY = (
    ("ContributingEquipmentSequence", "Manufacturer", "ContributingManufacturers"),
    ("CodingSchemeIdentificationSequence", "CodingSchemeDesignator", "CodingSchemes"),
)
"""Sequence, keyword in its items, and the name under which their values are lifted: marks of who made an object."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found under some paths. unreadable: path and the reason, in the order in which they were met."""

    series: tuple[Series, ...]
    unreadable: tuple[tuple[Path, str], ...]


def read_instance(path: Path) -> Instance:
    """Return the header of a file, with or without preamble.

    Raises NotDicom where the bytes cannot be parsed or end early, and MissingIdentity where a UID is absent or
    malformed.
    """
    try:
        with path.open("rb") as file:
            _check_opening(file.read(_PREAMBLE_LENGTH + 8), path)
            file.seek(0)
            dataset = dcmread(file, force=True, stop_before_pixels=True, defer_size=_LARGE_VALUE)
            check_complete(dataset, file, path)
        return instance_from_dataset(dataset, path)
    except PARSE_ERRORS as error:
        raise NotDicom(f"{path.name}: cannot be parsed as DICOM ({type(error).__name__})") from None
    except OSError as error:
        raise NotDicom(f"{path.name}: cannot be read ({error.strerror})") from None


def instance_from_dataset(dataset: Dataset, path: Path | None = None) -> Instance:
    """Return the header of a data set in memory. Raises MissingIdentity."""
    header = header_elements(dataset)
    uids = {keyword: _uid(header, keyword) for keyword in _IDENTITY}
    for keyword, element in _lifted_sequences(dataset):
        header.setdefault(keyword, element)
    frames: list[FrameGeometry | None]
    if is_multiframe_with_groups(dataset):
        per_frame = frame_elements(dataset)
        for keyword, element in common_elements(per_frame).items():
            header.setdefault(keyword, element)
        frames = [geometry_of(elements) for elements in per_frame]
    else:
        frames = [geometry_of(header)]
    known = [frame for frame in frames if frame is not None]
    return Instance(
        sop_instance_uid=uids["SOPInstanceUID"],
        sop_class_uid=uids["SOPClassUID"],
        transfer_syntax_uid=_transfer_syntax(dataset),
        header=header,
        frames=tuple(known) if len(known) == len(frames) else (),
        path=path,
    )


def read_paths(paths: Iterable[Path]) -> Scan:
    """Read files and folders (recursively, in the order of their names) into series, in the order of first sight."""
    groups: dict[tuple[str, str], list[Instance]] = {}
    seen: dict[str, Path] = {}
    unreadable: list[tuple[Path, str]] = []
    for path in _files(paths):
        try:
            instance = read_instance(path)
            _check_new(instance, path, seen)
        except RejectedInput as error:
            unreadable.append((path, str(error)))
            continue
        seen[instance.sop_instance_uid] = path
        header = instance.header
        key = header["StudyInstanceUID"].text, header["SeriesInstanceUID"].text
        groups.setdefault(key, []).append(instance)
    series = tuple(Series(study, uid, tuple(instances)) for (study, uid), instances in groups.items())
    return Scan(series, tuple(unreadable))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        else:
            yield path


def _check_new(instance: Instance, path: Path, seen: dict[str, Path]) -> None:
    if instance.sop_class_uid == _DICOMDIR_CLASS:
        raise NotDicom(f"{path.name}: a DICOMDIR, not an image")
    if instance.sop_instance_uid in seen:
        raise NotDicom(f"{path.name}: the same SOP Instance UID as {seen[instance.sop_instance_uid].name}")


def _check_opening(opening: bytes, path: Path) -> None:
    """Refuse what neither has the DICM prefix nor starts with an element of group 0002 or 0008."""
    if opening[_PREAMBLE_LENGTH : _PREAMBLE_LENGTH + 4] == b"DICM":
        return
    if len(opening) >= 8:
        little, big = struct.unpack_from("<H", opening)[0], struct.unpack_from(">H", opening)[0]
        if little in _FIRST_GROUPS or big in _FIRST_GROUPS:
            return
    raise NotDicom(f"{path.name}: not a DICOM file")


def _uid(header: dict[str, Element], keyword: str) -> str:
    element = header.get(keyword)
    if element is None or not element.values:
        raise MissingIdentity(f"{keyword} is absent or empty")
    if not is_valid_uid(element.text):
        raise MissingIdentity(f"{keyword} is not a valid UID")
    return element.text


def _transfer_syntax(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    stated = meta.get("TransferSyntaxUID") if meta is not None else None
    if stated and is_valid_uid(str(stated)):
        return str(stated)
    implicit, little = dataset.original_encoding
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRBigEndian if little is False else ExplicitVRLittleEndian)


def _lifted_sequences(dataset: Dataset) -> Iterator[tuple[str, Element]]:
    for keyword in _CODE_SEQUENCES:
        if keyword in dataset:
            yield keyword, Element("SQ", tuple(_meanings(dataset[keyword].value)))
    for keyword, item in _first_items(dataset, "SharedFunctionalGroupsSequence", "FrameAnatomySequence"):
        yield keyword, item
    for sequence, keyword, name in _MADE_BY:
        texts = [header_elements(item).get(keyword) for item in dataset.get(sequence) or []]
        if found := tuple(text.text for text in texts if text is not None):
            yield name, Element("LO", found)
    requests = dataset.get("RequestAttributesSequence") or []
    for request in requests:
        tags = [Tag(keyword) for keyword in _REQUEST_KEYWORDS if keyword in request]
        yield from header_elements(request, tags).items()
        if "RequestedProcedureCodeSequence" in request:
            yield (
                "RequestedProcedureCodeSequence",
                Element("SQ", tuple(_meanings(request.RequestedProcedureCodeSequence))),
            )


def _first_items(dataset: Dataset, groups: str, macro: str) -> Iterator[tuple[str, Element]]:
    for group in (dataset.get(groups) or [])[:1]:
        for anatomy in (group.get(macro) or [])[:1]:
            if "AnatomicRegionSequence" in anatomy:
                yield "AnatomicRegionSequence", Element("SQ", tuple(_meanings(anatomy.AnatomicRegionSequence)))


def _meanings(items: Iterable[Dataset]) -> Iterator[str]:
    for item in items:
        texts = header_elements(item)
        for keyword in ("CodeMeaning", "CodeValue", "LongCodeValue"):
            if keyword in texts and texts[keyword].values:
                yield texts[keyword].text
                break
