"""A row of the audit trail as one message by the schema of PS3.15 A.5.1; no patient, and no free text, is in it."""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from dicom_ai.audit_feed.kinds import EXPORT, IMPORT, QUERY, Code, Kind, Way, kind_of, own_code
from dicom_ai.storage.audit import AuditEvent

FREE_TEXT = frozenset({"why", "note", "reason", "error"})
"""Details that people or other programs wrote: they may name a patient, and stay in the node."""

STUDIES = "studies"
"""The detail of a list that was viewed: study UIDs, with spaces between."""

APPLICATION = Code("110150", "DCM", "Application")
SOURCE = Code("110153", "DCM", "Source Role ID")
DESTINATION = Code("110152", "DCM", "Destination Role ID")
MEDIA = {EXPORT: Code("110154", "DCM", "Destination Media"), IMPORT: Code("110155", "DCM", "Source Media")}
URI = Code("110037", "DCM", "URI")
STUDY_UID = Code("110180", "DCM", "Study Instance UID")
NODE_ID = Code("110182", "DCM", "Node ID")
SOP_CLASS = Code("110181", "DCM", "SOP Class UID")
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
USER_ID = Code("11", "RFC-3881", "User Identifier")
APPLICATION_SERVER = "4"
PERSON, SYSTEM_OBJECT = "1", "2"
IP_ADDRESS = "2"
ROLE_QUERY = "24"

ROLES: Mapping[str, str] = {
    "study": "3",
    "run": "3",
    "account": "6",
    "token": "6",
    "node": "13",
    "destination": "16",
    "rule": "23",
}
"""ParticipantObjectTypeCodeRole: report, user, security resource, data destination, routing criteria."""

COUNTS = ("images", "objects")
"""Details that are how many instances of a study an event is about."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_message(event: AuditEvent, node: str) -> str:
    """Return an event as an XML document in one line. node: AE title and machine of the node that says it."""
    kind = kind_of(event.action)
    root = Element("AuditMessage")
    root.append(_identification(event, kind))
    root.extend(_participants(event, kind, node))
    source = SubElement(root, "AuditSourceIdentification", AuditSourceID=_token(node))
    SubElement(source, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    root.extend(_objects(event))
    return '<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(root, encoding="unicode")


def _identification(event: AuditEvent, kind: Kind) -> Element:
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    identification = Element(
        "EventIdentification",
        EventActionCode=kind.act,
        EventDateTime=at.replace("+00:00", "Z"),
        EventOutcomeIndicator=kind.outcome,
    )
    identification.append(_coded("EventID", kind.event))
    identification.extend(_coded("EventTypeCode", code) for code in (*kind.types, own_code(_token(event.action))))
    return identification


def _participants(event: AuditEvent, kind: Kind, node: str) -> Iterator[Element]:
    """Yield who did it, the node, and where something went."""
    actor = _participant(_token(event.actor) or "unknown", requests=True)
    us = _participant(_token(node), APPLICATION)
    yield actor
    yield us
    if kind.way is Way.IN:
        _is_peer(actor, event)
        us.append(_coded("RoleIDCode", DESTINATION))
    if kind.way is Way.OUT:
        us.append(_coded("RoleIDCode", SOURCE))
        yield _participant(_token(str(event.detail.get("destination") or _subject(event)[1])), DESTINATION)
    if kind.event in MEDIA:
        us.append(_coded("RoleIDCode", SOURCE if kind.event == EXPORT else DESTINATION))
        media = _participant(str(event.detail.get("file") or f"browser of {_token(event.actor)}"), MEDIA[kind.event])
        SubElement(media, "MediaIdentifier").append(_coded("MediaType", URI))
        yield media


def _participant(user_id: str, *roles: Code, requests: bool = False) -> Element:
    one = Element("ActiveParticipant", UserID=user_id, UserIsRequestor="true" if requests else "false")
    one.extend(_coded("RoleIDCode", role) for role in roles)
    return one


def _is_peer(actor: Element, event: AuditEvent) -> None:
    """Say of who did it that it is a node of the network, which sent what it is about."""
    actor.set("AlternativeUserID", f"AETITLES={_token(event.actor)}")
    if address := event.detail.get("address"):
        actor.set("NetworkAccessPointID", str(address))
        actor.set("NetworkAccessPointTypeCode", IP_ADDRESS)
    actor.append(_coded("RoleIDCode", SOURCE))


def _objects(event: AuditEvent) -> Iterator[Element]:
    """Yield what it happened to; a list of studies is each of them. The first carries the details."""
    uids = _token(str(event.detail.get(STUDIES) or "")).split()
    what = [("study", uid) for uid in uids] or [_subject(event)]
    details = {"audit-row": event.id} | {
        name: value for name, value in event.detail.items() if name not in FREE_TEXT | {STUDIES} and value is not None
    }
    for kind, name in what:
        yield _object(kind, name, details)
        details = {}
    if kind_of(event.action).event == QUERY:
        yield _query(event)


def _object(kind: str, name: str, details: Mapping[str, str | int | float | bool]) -> Element:
    type_code = PERSON if kind == "account" else SYSTEM_OBJECT
    role = {"ParticipantObjectTypeCodeRole": ROLES[kind]} if kind in ROLES else {}
    one = Element(
        "ParticipantObjectIdentification", {"ParticipantObjectID": name, "ParticipantObjectTypeCode": type_code, **role}
    )
    codes = {"study": STUDY_UID, "account": USER_ID, "node": NODE_ID}
    one.append(_coded("ParticipantObjectIDTypeCode", codes.get(kind) or own_code(kind)))
    SubElement(one, "ParticipantObjectName").text = f"{kind} {name}"
    for key, value in details.items():
        SubElement(one, "ParticipantObjectDetail", type=_token(key), value=_base64(str(value)))
    if number := next((details[name] for name in COUNTS if name in details), 0):
        SubElement(SubElement(one, "ParticipantObjectDescription"), "SOPClass", NumberOfInstances=str(number))
    return one


def _query(event: AuditEvent) -> Element:
    """Return what was queried (PS3.15 A.5.3.10): its only key with a value is the study."""
    by_find = event.detail.get("kind") == "c_store"
    what, code = (STUDY_ROOT_FIND, SOP_CLASS) if by_find else ("QIDO-RS", own_code("service"))
    attributes = {"ParticipantObjectID": what, "ParticipantObjectTypeCode": SYSTEM_OBJECT}
    one = Element("ParticipantObjectIdentification", attributes | {"ParticipantObjectTypeCodeRole": ROLE_QUERY})
    one.append(_coded("ParticipantObjectIDTypeCode", code))
    SubElement(one, "ParticipantObjectQuery").text = _base64(f"StudyInstanceUID={_subject(event)[1]}")
    return one


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _subject(event: AuditEvent) -> tuple[str, str]:
    """Return a subject as its kind and its name ("rules version 3": rules, version 3)."""
    kind, _, name = _token(event.subject).partition(" ")
    return kind or "node", name or kind or "node"


def _coded(tag: str, code: Code) -> Element:
    return Element(tag, {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning})


def _token(text: str) -> str:
    """Return a text as xsd:token has it, without what XML cannot hold."""
    return " ".join(_NOT_XML.sub("?", text).split())
