"""Numbers of rows by known words: what may leave the house without a look at it. No value of a row gets out."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.storage import watch_tables
from dicom_ai.storage.tables import HoldRow, InstanceRow, JobRow, OutboxRow, ResultRow, RunRow, Table

OTHER = "other"
COUNTED: Mapping[str, tuple[sa.orm.InstrumentedAttribute[str], ...]] = {
    "jobs": (JobRow.kind, JobRow.state),
    "runs": (RunRow.state,),
    "outbox": (OutboxRow.state,),
    "results": (ResultRow.kind,),
    "instances": (InstanceRow.standing,),
    "holds": (HoldRow.kind, HoldRow.decision),
    "confirmations": (watch_tables.ConfirmationRow.state, watch_tables.ConfirmationRow.way),
    "alarms": (watch_tables.AlarmRow.condition,),
}
"""Table -> the columns by which its rows are counted."""


def rows(session: Session) -> Mapping[str, int]:
    """Return how many rows each table has."""
    return {
        table.name: session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        for table in Table.metadata.sorted_tables
    }


def by_words(session: Session, words: Collection[str]) -> Mapping[str, Mapping[str, int]]:
    """Return how many rows of each table have which words; a word that is not among the known counts as "other"."""
    found: dict[str, dict[str, int]] = {}
    for name, columns in COUNTED.items():
        counts = found.setdefault(name, {})
        for *values, number in session.execute(sa.select(*columns, sa.func.count()).group_by(*columns)):
            label = " ".join(value if value in words else OTHER for value in values if value)
            counts[label] = counts.get(label, 0) + number
    return found
