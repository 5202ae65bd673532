import pytest
import sqlalchemy as sa

from dicom_ai.storage import audit
from dicom_ai.storage.database import Database


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_trail_cannot_be_changed(database: Database, statement: str) -> None:
    with database.write() as session:
        audit.record(session, "anna", "paused", "rule cord")

    with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.write() as session:
        session.execute(sa.text(statement))

    with database.read() as session:
        assert [(event.actor, event.action, event.subject) for event in audit.events(session)] == [
            ("anna", "paused", "rule cord")
        ]
