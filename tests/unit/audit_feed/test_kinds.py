"""Codes are those of DICOM (pydicom's copy of PS3.16), and every action of the trail has a place in the tables."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts

import dicom_ai
from dicom_ai.audit_feed.kinds import KINDS, OWN, Code, Outcome, kind_of

DICOM: Any = concepts["DCM"]


def actions_in_source() -> Iterator[str]:
    """Yield the actions that the code names as they stand in calls of audit.record."""
    for path in Path(dicom_ai.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record":
                action = node.args[2]
                if isinstance(action, ast.Constant) and isinstance(action.value, str):
                    yield action.value


def test_every_action_has_a_code_of_dicom_or_is_named_as_one_without() -> None:
    assert set(actions_in_source()) <= KINDS.keys() | OWN
    assert not KINDS.keys() & OWN


@pytest.mark.parametrize("action", KINDS)
def test_events_are_of_cid_400_and_their_types_of_cid_401(action: str) -> None:
    def meaning(code: Code, cid: int) -> str:
        keywords: Any = cid_concepts[cid]["DCM"]
        (found,) = [held[code.value] for name, held in DICOM.items() if name in keywords and code.value in held]
        return str(found[0])

    kind = KINDS[action]

    assert kind.event.meaning == meaning(kind.event, 400)
    assert [code.meaning for code in kind.types] == [meaning(code, 401) for code in kind.types]


def test_an_action_without_an_event_in_dicom_has_a_code_of_our_own() -> None:
    kind = kind_of("file missing")

    assert (kind.event, kind.outcome) == (Code("file-missing", "99DICOMAI", "file missing"), Outcome.SERIOUS_FAILURE)
