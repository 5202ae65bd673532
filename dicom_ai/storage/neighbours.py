"""Destinations and peers, versioned: those of the settings file until somebody changes one, then the newest version's.

Every save adds a version that says who and when; none is ever changed. What was in the settings file when the first
change was made is version 1, so that nothing is lost but secrets: of these the one in force is kept, beside the
versions, so that an older version comes back with the secret of today.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session

from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.sections import Neighbours
from dicom_ai.storage import audit
from dicom_ai.storage.database import Database, lock_study, now
from dicom_ai.storage.neighbour_tables import NeighbourVersionRow, SecretRow

FROM_FILE = "settings file"
"""The author of version 0, which is not stored, and of version 1, which is what the file said at the first change."""


SECRET = frozenset({"authorization"})
"""Parameters of destinations whose values are never shown, and stand in no version."""

Secrets = Mapping[tuple[str, str], str]
"""Destination and parameter -> the value in force."""


@dataclass(frozen=True, slots=True)
class StoredNeighbours:
    """One version of all destinations and peers, with the secrets of today.

    without_secret: destinations of the version whose secret is gone, because they were removed meanwhile.
    """

    version: int
    created_at: float
    author: str
    note: str
    neighbours: Neighbours
    without_secret: tuple[str, ...] = ()

    @property
    def from_file(self) -> bool:
        """Whether nobody has changed anything yet, so that the settings file counts."""
        return self.version == 0


def in_force(session: Session, file: Neighbours) -> StoredNeighbours:
    """Return the newest version; what the settings file says while there is none."""
    row = session.scalars(sa.select(NeighbourVersionRow).order_by(NeighbourVersionRow.version.desc()).limit(1)).first()
    return of_file(file) if row is None else _stored(row, _secrets(session))


def look(database: Database, file: Neighbours) -> StoredNeighbours:
    """Return the same in a transaction of its own. Raises Unavailable, also for a database of an earlier release."""
    try:
        with database.read() as session:
            return in_force(session, file)
    except sa.exc.ProgrammingError as error:
        raise Unavailable("database: it has no table of destinations and peers yet") from error


def version(session: Session, number: int) -> StoredNeighbours:
    """Return one version. Raises ConfigError where there is none of that number."""
    row = session.get(NeighbourVersionRow, number)
    if row is None:
        raise ConfigError(f"there is no version {number} of destinations and peers")
    return _stored(row, _secrets(session))


def history(session: Session, *, most: int | None = None) -> Sequence[StoredNeighbours]:
    """Return every version, or so many, newest first."""
    newest_first = sa.select(NeighbourVersionRow).order_by(NeighbourVersionRow.version.desc()).limit(most)
    secrets = _secrets(session)
    return tuple(_stored(row, secrets) for row in session.scalars(newest_first))


def save(session: Session, wanted: Neighbours, file: Neighbours, *, author: str, note: str) -> StoredNeighbours:
    """Add a version, and before the first one that of the settings file."""
    lock_study(session, "neighbours")  # no study: any word makes one wait for the other
    if in_force(session, file).from_file:
        _add(session, file, author=FROM_FILE, note="as the settings file had them")
    row = _add(session, wanted, author=author, note=note)
    _keep_secrets(session, wanted)
    audit.record(session, author, "neighbours saved", f"neighbours version {row.version}", {"note": note})
    return _stored(row, _secrets(session))


def require_newest(session: Session, file: Neighbours, seen: int) -> None:
    """Raise ConfigError where somebody has changed destinations or peers since a person looked at a version."""
    newest = in_force(session, file)
    if newest.version != seen:
        done = f"version {newest.version} by {newest.author}, {newest.note}"
        raise ConfigError(f"destinations or peers were changed meanwhile ({done}): look at them again")


def _add(session: Session, wanted: Neighbours, *, author: str, note: str) -> NeighbourVersionRow:
    content = wanted.model_dump(mode="json")
    for item in content["destinations"]:
        item["parameters"] |= {key: None for key in SECRET if item["parameters"].get(key)}
    row = NeighbourVersionRow(created_at=now(session), author=author, note=note, content=content)
    session.add(row)
    session.flush()
    return row


def of_file(file: Neighbours) -> StoredNeighbours:
    """Return what the settings file says, as version 0."""
    return StoredNeighbours(0, 0.0, FROM_FILE, "nothing was changed here yet", file)


def _keep_secrets(session: Session, wanted: Neighbours) -> None:
    """Let the secrets of what is wanted be those in force, and all others go."""
    session.execute(sa.delete(SecretRow))
    session.add_all(
        SecretRow(destination=item.name, parameter=key, value=str(value))
        for item in wanted.destinations
        for key, value in item.parameters.items()
        if key in SECRET and value
    )
    session.flush()


def _secrets(session: Session) -> Secrets:
    rows = session.execute(sa.select(SecretRow.destination, SecretRow.parameter, SecretRow.value))
    return {(destination, parameter): value for destination, parameter, value in rows}


def _stored(row: NeighbourVersionRow, secrets: Secrets) -> StoredNeighbours:
    content, without = _with_secrets(row.content, secrets)
    try:
        neighbours = Neighbours.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            f"version {row.version} of destinations and peers cannot be read by this release: "
            f"{error.error_count()} wrong values"
        ) from error
    return StoredNeighbours(row.version, row.created_at, row.author, row.note, neighbours, without)


def _with_secrets(content: Mapping[str, Any], secrets: Secrets) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a version with the secrets in the place of what stands for them, and the destinations that lost theirs."""
    filled, without = deepcopy(dict(content)), []
    for item in filled.get("destinations", ()):
        parameters = item.get("parameters", {})
        for key in [key for key, value in parameters.items() if value is None]:
            del parameters[key]
            if (item["name"], key) in secrets:
                parameters[key] = secrets[item["name"], key]
            else:
                without.append(item["name"])
    return filled, tuple(without)
