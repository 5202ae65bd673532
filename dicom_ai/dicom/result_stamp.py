"""What every result object carries, set after highdicom has built it: identity of run, clock, names, marks."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from dicom_ai import __version__
from dicom_ai.dicom.codes import SCHEME, SCHEME_NAME
from dicom_ai.domain.model import ModelReference
from dicom_ai.domain.result import MANUFACTURER, ResultIdentity

MODEL_NAME = "dicom_ai"
SERIAL_NUMBER = "1"
CHARACTER_SET = "ISO_IR 192"
RESEARCH = "RESEARCH"
RESEARCH_MARK = "(RUO)"

_LONGEST_TEXT = 64
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)")


def software_versions(models: Sequence[ModelReference]) -> list[str]:
    """Return SoftwareVersions (0018,1020): the node and each model, once."""
    versions = [f"dicom_ai {__version__}", *(f"{model.name} {model.version}" for model in models)]
    return list(dict.fromkeys(version[:_LONGEST_TEXT] for version in versions))


def series_description(what: str, identity: ResultIdentity) -> str:
    """Return "AI Spine (RUO)", or "AI Spine (RUO) run 2, replaces run 1"; what is shortened before the marks are."""
    mark = RESEARCH_MARK
    if identity.run > 1:
        mark += f" run {identity.run}"
    if identity.predecessor is not None:
        mark += f", replaces run {identity.run - 1}"
    room = _LONGEST_TEXT - len("AI  ") - len(mark)
    return f"AI {what[:room].rstrip()} {mark}"


def private_coding_scheme() -> CodingSchemeIdentificationItem:
    """Return the item that declares 99DICOMAI in Coding Scheme Identification Sequence (0008,0110)."""
    return CodingSchemeIdentificationItem(SCHEME, name=SCHEME_NAME, responsible_organization=MANUFACTURER)


def stated(identity: ResultIdentity, models: Sequence[ModelReference], *, what: str) -> dict[str, Any]:
    """Return the arguments that every highdicom object of ours is built with. what: see series_description."""
    return {
        "series_instance_uid": identity.series_uid,
        "series_number": identity.series_number,
        "sop_instance_uid": identity.sop_instance_uid,
        "instance_number": identity.run,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": software_versions(models),
        "device_serial_number": SERIAL_NUMBER,
        "series_description": series_description(what, identity),
        "content_qualification": RESEARCH,
        "coding_schemes": [private_coding_scheme()],
        "specific_character_set": CHARACTER_SET,
    }


def without_name(header: Dataset) -> Dataset:
    """Return the header with an empty patient name: highdicom's warning about a name would repeat it."""
    nameless = Dataset()
    nameless.update(header)
    nameless["PatientName"] = DataElement("PatientName", "PN", "")  # assigning would change the element both share
    return nameless


def stamp(result: Dataset, header: Dataset, identity: ResultIdentity) -> None:
    """Give a result the patient's name, the clock of its study, and its run. header: of a source image, normalised."""
    result.PatientName = header.PatientName
    for keyword in ("IssuerOfPatientID", "StudyDescription"):
        if header.get(keyword):
            setattr(result, keyword, header[keyword].value)
    moment, offset = _in_clock_of(header, identity.created_at)
    if offset:
        result.TimezoneOffsetFromUTC = offset
    date, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
    for keyword in ("InstanceCreation", "Content", "Series"):
        setattr(result, f"{keyword}Date", date)
        setattr(result, f"{keyword}Time", time)
    for equipment in result.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in equipment and str(equipment.get("Manufacturer")).startswith("Highdicom"):
            equipment.ContributionDateTime = f"{date}{time}{offset}"


def _in_clock_of(header: Dataset, moment: datetime) -> tuple[datetime, str]:
    """Return the moment in the source's timezone and that offset; without one, in this machine's and no offset.

    An offset also holds for the dates copied from the source (PS3.3 C.12.1.1.8), so none is made up.
    """
    stated = str(header.get("TimezoneOffsetFromUTC") or "").strip()
    match = _OFFSET.fullmatch(stated)
    if match is None:
        return moment.astimezone(), ""
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    if abs(offset) >= timedelta(hours=15):
        return moment.astimezone(), ""
    return moment.astimezone(timezone(offset)), stated
