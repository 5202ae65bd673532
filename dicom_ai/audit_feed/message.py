"""A row of the audit trail as one message by the schema of PS3.15 A.5.1; no patient, and no free text, is in it."""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from dicom_ai.audit_feed.kinds import EXPORT, TRANSFERRED, Code, Kind, kind_of, own_code
from dicom_ai.storage.audit import AuditEvent

FREE_TEXT = frozenset({"why", "note", "reason", "error"})
"""Details that people or other programs wrote: they may name a patient, and stay in the node."""

STUDIES = "studies"
"""The detail of a list that was viewed: study UIDs, with spaces between."""

APPLICATION = Code("110150", "DCM", "Application")
SOURCE = Code("110153", "DCM", "Source Role ID")
DESTINATION = Code("110152", "DCM", "Destination Role ID")
MEDIA = Code("110154", "DCM", "Destination Media")
URI = Code("110037", "DCM", "URI")
STUDY_UID = Code("110180", "DCM", "Study Instance UID")
USER_ID = Code("11", "RFC-3881", "User Identifier")
APPLICATION_SERVER = "4"
PERSON, SYSTEM_OBJECT = "1", "2"

ROLES: Mapping[str, str] = {"study": "3", "run": "3", "account": "6", "token": "6", "destination": "16", "rule": "23"}
"""ParticipantObjectTypeCodeRole: report, user, data destination, routing criteria."""

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
    actor = Element("ActiveParticipant", UserID=_token(event.actor) or "unknown", UserIsRequestor="true")
    us = Element("ActiveParticipant", UserID=_token(node), UserIsRequestor="false")
    us.append(_coded("RoleIDCode", APPLICATION))
    yield actor
    yield us
    if kind.event in (EXPORT, TRANSFERRED):
        us.append(_coded("RoleIDCode", SOURCE))
    if kind.event == EXPORT:
        browser = Element("ActiveParticipant", UserID=f"browser of {_token(event.actor)}", UserIsRequestor="false")
        browser.append(_coded("RoleIDCode", MEDIA))
        SubElement(browser, "MediaIdentifier").append(_coded("MediaType", URI))
        yield browser
    if kind.event == TRANSFERRED:
        name = _subject(event)[1]
        peer = Element("ActiveParticipant", UserID=name, UserIsRequestor="false")
        peer.append(_coded("RoleIDCode", DESTINATION))
        yield peer


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


def _object(kind: str, name: str, details: Mapping[str, str | int | float | bool]) -> Element:
    type_code = PERSON if kind == "account" else SYSTEM_OBJECT
    role = {"ParticipantObjectTypeCodeRole": ROLES[kind]} if kind in ROLES else {}
    one = Element(
        "ParticipantObjectIdentification", {"ParticipantObjectID": name, "ParticipantObjectTypeCode": type_code, **role}
    )
    codes = {"study": STUDY_UID, "account": USER_ID}
    one.append(_coded("ParticipantObjectIDTypeCode", codes.get(kind) or own_code(kind)))
    SubElement(one, "ParticipantObjectName").text = f"{kind} {name}"
    for key, value in details.items():
        encoded = base64.b64encode(str(value).encode()).decode()
        SubElement(one, "ParticipantObjectDetail", type=_token(key), value=encoded)
    return one


def _subject(event: AuditEvent) -> tuple[str, str]:
    """Return a subject as its kind and its name ("rules version 3": rules, version 3)."""
    kind, _, name = _token(event.subject).partition(" ")
    return kind or "node", name or kind or "node"


def _coded(tag: str, code: Code) -> Element:
    return Element(tag, {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning})


def _token(text: str) -> str:
    """Return a text as xsd:token has it, without what XML cannot hold."""
    return " ".join(_NOT_XML.sub("?", text).split())
