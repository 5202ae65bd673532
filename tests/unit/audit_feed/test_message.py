"""Messages by PS3.15 A.5.1: the known XML of one, and the order and attributes that the schema asks of all."""

import base64
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from dicom_ai.audit_feed.kinds import KINDS, OWN
from dicom_ai.audit_feed.message import as_message
from dicom_ai.storage.audit import AuditEvent, Detail

NODE = "DICOM_AI@node7"
CODED = (("csd-code", "codeSystemName", "originalText"), (), ())
SCHEMA: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "AuditMessage": (
        (),
        (),
        (
            "EventIdentification",
            "ActiveParticipant",
            "AuditSourceIdentification",
            "ParticipantObjectIdentification",
        ),
    ),
    "EventIdentification": (
        ("EventDateTime", "EventOutcomeIndicator"),
        ("EventActionCode",),
        ("EventID", "EventTypeCode", "EventOutcomeDescription"),
    ),
    "ActiveParticipant": (
        ("UserID", "UserIsRequestor"),
        ("AlternativeUserID", "UserName", "NetworkAccessPointID", "NetworkAccessPointTypeCode"),
        ("RoleIDCode", "MediaIdentifier"),
    ),
    "MediaIdentifier": ((), (), ("MediaType",)),
    "AuditSourceIdentification": (("AuditSourceID",), ("AuditEnterpriseSiteID",), ("AuditSourceTypeCode",)),
    "AuditSourceTypeCode": (("csd-code",), ("codeSystemName", "originalText"), ()),
    "ParticipantObjectIdentification": (
        ("ParticipantObjectID",),
        ("ParticipantObjectTypeCode", "ParticipantObjectTypeCodeRole"),
        (
            "ParticipantObjectIDTypeCode",
            "ParticipantObjectName",
            "ParticipantObjectQuery",
            "ParticipantObjectDetail",
            "ParticipantObjectDescription",
        ),
    ),
    "ParticipantObjectQuery": ((), (), ()),
    "ParticipantObjectDescription": ((), (), ("SOPClass",)),
    "SOPClass": (("NumberOfInstances",), ("UID",), ()),
    "ParticipantObjectName": ((), (), ()),
    "ParticipantObjectDetail": (("type", "value"), (), ()),
    "EventID": CODED,
    "EventTypeCode": CODED,
    "RoleIDCode": CODED,
    "MediaType": CODED,
    "ParticipantObjectIDTypeCode": CODED,
}
"""Element -> attributes it must have, may have, and its children in order (PS3.15 A.5.1)."""

ONCE = {"EventIdentification", "AuditSourceIdentification", "EventID", "ParticipantObjectIDTypeCode"}


def event(action: str, subject: str, detail: Detail | None = None) -> AuditEvent:
    return AuditEvent(7, 1_700_000_000.25, "anna", action, subject, detail or {})


def check(element: Element) -> None:
    """Assert that an element is as the schema has it."""
    needed, allowed, children = SCHEMA[element.tag]
    assert set(needed) <= set(element.attrib) <= {*needed, *allowed}
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places)
    for name in ONCE.intersection(children):
        assert len(element.findall(name)) == 1
    for child in element:
        check(child)


def test_a_study_that_a_person_looked_at() -> None:
    assert as_message(event("viewed", "study 1.2.3"), NODE) == (
        '<?xml version="1.0" encoding="UTF-8"?><AuditMessage>'
        '<EventIdentification EventActionCode="R" EventDateTime="2023-11-14T22:13:20.250Z" EventOutcomeIndicator="0">'
        '<EventID csd-code="110103" codeSystemName="DCM" originalText="DICOM Instances Accessed" />'
        '<EventTypeCode csd-code="viewed" codeSystemName="99DICOMAI" originalText="viewed" /></EventIdentification>'
        '<ActiveParticipant UserID="anna" UserIsRequestor="true" />'
        '<ActiveParticipant UserID="DICOM_AI@node7" UserIsRequestor="false">'
        '<RoleIDCode csd-code="110150" codeSystemName="DCM" originalText="Application" /></ActiveParticipant>'
        '<AuditSourceIdentification AuditSourceID="DICOM_AI@node7"><AuditSourceTypeCode csd-code="4" />'
        "</AuditSourceIdentification>"
        '<ParticipantObjectIdentification ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2"'
        ' ParticipantObjectTypeCodeRole="3">'
        '<ParticipantObjectIDTypeCode csd-code="110180" codeSystemName="DCM" originalText="Study Instance UID" />'
        "<ParticipantObjectName>study 1.2.3</ParticipantObjectName>"
        '<ParticipantObjectDetail type="audit-row" value="Nw==" />'
        "</ParticipantObjectIdentification></AuditMessage>"
    )


@pytest.mark.parametrize("action", sorted(KINDS.keys() | OWN | {"what a later release adds"}))
@pytest.mark.parametrize("subject", ["study 1.2.3", "account anna", "destination pacs", "all", ""])
def test_every_message_is_as_the_schema_has_it(action: str, subject: str) -> None:
    root = ElementTree.fromstring(as_message(event(action, subject, {"job": 4, "none": None}), NODE))

    assert root.tag == "AuditMessage"
    assert all(root.find(name) is not None for name in SCHEMA["AuditMessage"][2])
    assert all(
        (one.find("ParticipantObjectName") is None) != (one.find("ParticipantObjectQuery") is None)
        for one in root.iter("ParticipantObjectIdentification")
    )
    check(root)


def roles(root: Element) -> dict[str, list[str]]:
    """Return the codes of the roles of every participant."""
    return {
        one.get("UserID") or "": [code.get("csd-code") or "" for code in one.findall("RoleIDCode")]
        for one in root.iter("ActiveParticipant")
    }


def test_images_that_came_name_who_sent_them_how_many_and_from_where() -> None:
    received = AuditEvent(
        7, 1.0, "PACS", "images received", "study 1.2.3", {"address": "192.0.2.7", "images": 20, "associations": 20}
    )
    root = ElementTree.fromstring(as_message(received, NODE))

    sender = root.find("ActiveParticipant")
    assert sender is not None
    assert sender.attrib == {
        "UserID": "PACS",
        "UserIsRequestor": "true",
        "AlternativeUserID": "AETITLES=PACS",
        "NetworkAccessPointID": "192.0.2.7",
        "NetworkAccessPointTypeCode": "2",
    }
    assert roles(root) == {"PACS": ["110153"], NODE: ["110150", "110152"]}  # source; application, destination
    assert [one.get("NumberOfInstances") for one in root.iter("SOPClass")] == ["20"]


@pytest.mark.parametrize("action", ["sending begun", "results sent", "queried"])
def test_what_goes_out_names_where_to(action: str) -> None:
    root = ElementTree.fromstring(as_message(event(action, "study 1.2.3", {"destination": "pacs"}), NODE))

    assert roles(root) == {"anna": [], NODE: ["110150", "110153"], "pacs": ["110152"]}


def test_a_query_says_what_was_asked() -> None:
    detail = {"destination": "pacs", "kind": "c_store", "purpose": "is it the same patient there"}
    root = ElementTree.fromstring(as_message(event("queried", "study 1.2.3", detail), NODE))

    query = root.findall("ParticipantObjectIdentification")[-1]
    assert query.get("ParticipantObjectID") == "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root, FIND
    assert base64.b64decode(query.findtext("ParticipantObjectQuery") or "") == b"StudyInstanceUID=1.2.3"


def test_a_backup_leaves_the_node_as_a_file() -> None:
    root = ElementTree.fromstring(as_message(event("backed up", "revision 0015", {"file": "/media/a.tar"}), NODE))

    assert roles(root) == {"anna": [], NODE: ["110150", "110153"], "/media/a.tar": ["110154"]}


def test_a_list_of_studies_names_each_of_them() -> None:
    root = ElementTree.fromstring(as_message(event("viewed", "list of studies", {"studies": "1.2 1.3"}), NODE))

    found = root.findall("ParticipantObjectIdentification")
    assert [one.get("ParticipantObjectID") for one in found] == ["1.2", "1.3"]


def test_words_that_people_and_archives_wrote_stay_in_the_node() -> None:
    detail: Detail = {"why": "Mustermann is right", "error": "no Mustermann", "outbox_id": 5}
    text = as_message(event("delivery refused", "destination pacs", detail), NODE)

    root = ElementTree.fromstring(text)
    details = {
        one.get("type"): base64.b64decode(one.get("value") or "") for one in root.iter("ParticipantObjectDetail")
    }
    assert details == {"audit-row": b"7", "outbox_id": b"5"}
    assert [one.get("UserID") for one in root.iter("ActiveParticipant")] == ["anna", NODE, "pacs"]


def test_no_name_breaks_the_xml_or_the_line() -> None:
    text = as_message(event("viewed", 'study <1>&"\n\x00'), NODE)

    assert "\n" not in text
    assert 'study <1>&" ?' in ElementTree.fromstring(text).itertext()
