"""Routing rules, versioned: every save adds a version that says who and when; none is ever changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.errors import RuleError
from dicom_ai.storage import audit
from dicom_ai.storage.database import now
from dicom_ai.storage.tables import RuleVersionRow


@dataclass(frozen=True, slots=True)
class StoredRules:
    """One version of all rules. content: the rules as routing.toml would hold them, for routing.rule.parse_rules."""

    version: int
    created_at: float
    author: str
    note: str
    content: Mapping[str, Any] = field(repr=False)


def current(session: Session) -> StoredRules | None:
    """Return the newest version; None while the database has no rules."""
    row = session.scalars(sa.select(RuleVersionRow).order_by(RuleVersionRow.version.desc()).limit(1)).first()
    return None if row is None else _stored(row)


def version(session: Session, number: int) -> StoredRules:
    """Return one version; raise RuleError if there is none of that number."""
    row = session.get(RuleVersionRow, number)
    if row is None:
        raise RuleError(f"there is no version {number} of the rules")
    return _stored(row)


def history(session: Session) -> Sequence[StoredRules]:
    """Return every version, newest first."""
    return tuple(
        _stored(row) for row in session.scalars(sa.select(RuleVersionRow).order_by(RuleVersionRow.version.desc()))
    )


def save(session: Session, content: Mapping[str, Any], *, author: str, note: str) -> StoredRules:
    """Add a version. The content must have been parsed by routing.rule.parse_rules before."""
    row = RuleVersionRow(created_at=now(session), author=author, note=note, content=dict(content))
    session.add(row)
    session.flush()
    audit.record(session, author, "rules saved", f"rules version {row.version}", {"note": note})
    return _stored(row)


def _stored(row: RuleVersionRow) -> StoredRules:
    return StoredRules(row.version, row.created_at, row.author, row.note, row.content)
