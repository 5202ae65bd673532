"""Indexes by which the pages of a node with many studies answer at once

Revision: 0017, after 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ON_THE_WAY = sa.text("state IN ('collecting', 'reporting')")
PENDING = sa.text("state IN ('waiting', 'unknown')")
SOUGHT = ("patient_name", "patient_id", "accession")
SEARCH = "ix_studies_search"


def upgrade() -> None:
    op.drop_index("ix_studies_last_received_at", "studies")
    op.create_index("ix_studies_last_received_at_study_uid", "studies", ["last_received_at", "study_uid"])
    _create_search_index()
    op.drop_index("ix_runs_state", "runs")
    op.create_index("ix_runs_study_uid_state", "runs", ["study_uid", "state"])
    op.create_index("ix_runs_on_the_way", "runs", ["state", "id"], sqlite_where=ON_THE_WAY, postgresql_where=ON_THE_WAY)
    op.create_index(
        "ix_runs_incomplete",
        "runs",
        ["id"],
        sqlite_where=sa.text("complete IS 0"),
        postgresql_where=sa.text("complete IS false"),
    )
    op.drop_index("ix_outbox_run_id", "outbox")
    op.create_index("ix_outbox_run_id_state", "outbox", ["run_id", "state"])
    op.create_index("ix_outbox_destination_sent_at", "outbox", ["destination", "sent_at"])
    op.create_index("ix_outbox_pending", "outbox", ["queued_at"], sqlite_where=PENDING, postgresql_where=PENDING)
    op.create_index("ix_attempts_ended_at", "attempts", ["ended_at"])


def _create_search_index() -> None:
    """SQLite goes through one index that has all that is sought; PostgreSQL finds parts of words by their trigrams."""
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        op.create_index(SEARCH, "studies", ["last_received_at", "study_uid", *SOUGHT, "study_date"])
        return
    try:
        with bind.begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            columns = ", ".join(f"{name} gin_trgm_ops" for name in SOUGHT)
            op.execute(f"CREATE INDEX {SEARCH} ON studies USING gin ({columns})")
    except sa.exc.DBAPIError:
        return  # the extension is not installed, or may not be added: a search goes through all studies


def downgrade() -> None:
    op.drop_index("ix_attempts_ended_at", "attempts")
    op.drop_index("ix_outbox_pending", "outbox")
    op.drop_index("ix_outbox_destination_sent_at", "outbox")
    op.drop_index("ix_outbox_run_id_state", "outbox")
    op.create_index("ix_outbox_run_id", "outbox", ["run_id"])
    op.drop_index("ix_runs_incomplete", "runs")
    op.drop_index("ix_runs_on_the_way", "runs")
    op.drop_index("ix_runs_study_uid_state", "runs")
    op.create_index("ix_runs_state", "runs", ["state"])
    op.execute(f"DROP INDEX IF EXISTS {SEARCH}")
    op.drop_index("ix_studies_last_received_at_study_uid", "studies")
    op.create_index("ix_studies_last_received_at", "studies", ["last_received_at"])
