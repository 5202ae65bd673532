"""Headers of source images as results need them: without pixels, complete, and free of what highdicom refuses.

highdicom raises on a missing type 2 attribute, on a birth date or sex that breaks its VR, and on character sets that
real archives hold, and its warning on a name of one component repeats the name (docs/quirks.md).
"""

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import validate_value

from dicom_ai.dicom.header_text import text_element
from dicom_ai.dicom.headers import PARSE_ERRORS
from dicom_ai.domain.study import Series
from dicom_ai.errors import NotDicom

_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Patient and General Study modules, PS3.3 C.7.1.1 and C.7.2.1."""

_SEXES = frozenset({"M", "F", "O", ""})
_CHECKED_VRS = frozenset({"AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})
_CHECKED_GROUPS = frozenset({0x0008, 0x0010, 0x0020, 0x0040})
_PLACE = tuple(
    Tag(keyword)
    for keyword in (
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "Rows",
        "Columns",
    )
)
"""What a SEG takes of every image of its series; all else it takes of the first."""

_PIXEL_GROUP = 0x7FE0
_OVERLAY_GROUPS = range(0x6000, 0x6020)

Sources = Series | Iterable[Path | Dataset]


def source_headers(
    sources: Sources, *, only: frozenset[str] | None = None, whole: str | None = None
) -> dict[str, Dataset]:
    """Return SOP Instance UID -> header, normalised and without pixels; the data sets given are not touched.

    only: the SOP Instance UIDs that are needed; files of a Series that are not are not even opened.
    whole: the one image whose header is needed whole; the others then say which image they are and where it lies only.
    """
    headers = _headers(sources, only, whole)
    return {str(header.SOPInstanceUID): header for header in headers if only is None or header.SOPInstanceUID in only}


def normalised(dataset: Dataset) -> Dataset:
    """Return a copy without pixels, with every type 2 attribute, and with malformed values emptied."""
    return _normalise(copy.deepcopy(_without_pixels(dataset)))


def _normalise(header: Dataset) -> Dataset:
    """Mend a header in place and return it."""
    for keyword in _TYPE_2:
        if keyword not in header:
            setattr(header, keyword, "")
    _empty_malformed(header)
    if str(header.PatientSex or "") not in _SEXES:
        header.PatientSex = ""
    _decode(header)
    header.SpecificCharacterSet = "ISO_IR 192"
    return header


def _headers(sources: Sources, only: frozenset[str] | None, whole: str | None) -> Iterator[Dataset]:
    if isinstance(sources, Series):
        wanted = (i for i in sources.instances if only is None or i.sop_instance_uid in only)
        sources = [instance.path for instance in wanted if instance.path is not None]
    for source in sources:
        given = isinstance(source, Dataset)
        dataset = source if isinstance(source, Dataset) else _read(source)
        brief = whole is not None and dataset.get("SOPInstanceUID") != whole
        header = _part(dataset, _PLACE) if brief else _without_pixels(dataset)
        if given:  # what was read here belongs to nobody else and needs no deep copy
            header = copy.deepcopy(header)
        yield _empty_malformed(header) if brief else _normalise(header)


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path, force=True, stop_before_pixels=True)
    except PARSE_ERRORS as error:
        raise NotDicom(f"{path.name}: cannot be parsed as DICOM ({type(error).__name__})") from None
    except OSError as error:
        raise NotDicom(f"{path.name}: cannot be read ({error.strerror})") from None


def _without_pixels(dataset: Dataset) -> Dataset:
    """Return a shallow copy that shares its elements with the original."""
    kept = (
        tag
        for tag in tuple(dataset.keys())
        if tag.group != _PIXEL_GROUP and tag.group not in _OVERLAY_GROUPS and not tag.is_private
    )
    return _part(dataset, kept)


def _part(dataset: Dataset, tags: Iterable[int]) -> Dataset:
    """Return a shallow copy of some elements, as far as they are there; they are shared with the original."""
    part = Dataset()
    for tag in tags:
        if tag in dataset:
            part[tag] = dataset.get_item(tag)
    implicit, little = dataset.original_encoding
    part.set_original_encoding(implicit, little, dataset.original_character_set)
    return part


def _empty_malformed(header: Dataset) -> Dataset:
    """Empty what breaks its VR, in place, and return the header."""
    for tag in tuple(header.keys()):
        if tag.group in _CHECKED_GROUPS:
            _empty_if_malformed(header, tag)
    return header


def _empty_if_malformed(header: Dataset, tag: int) -> None:
    item = header.get_item(tag)
    if item is None or item.VR not in _CHECKED_VRS:
        return
    element = text_element(header, item.tag)
    try:
        for value in element.values if element else ():
            validate_value(item.VR, value, config.RAISE)
        header[tag].value  # noqa: B018 converts, which raises where pydicom cannot
    except PARSE_ERRORS:
        header.add_new(tag, item.VR, "")


def _decode(header: Dataset) -> None:
    """Turn every text into str, so that it can be written in another character set."""
    try:
        header.decode()
    except PARSE_ERRORS:
        for keyword in _TYPE_2:  # one broken text must not cost the identity of the patient
            header[keyword].value  # noqa: B018
