"""Patients' names, what people make of results, and the way to what failed

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FAILED_JOB = sa.text("state = 'failed'")
FAILED_DELIVERY = sa.text("state IN ('failed', 'refused')")


def upgrade() -> None:
    op.add_column("studies", sa.Column("patient_name", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_studies_study_date", "studies", ["study_date"])
    op.create_index("ix_jobs_failed", "jobs", ["study_uid"], sqlite_where=FAILED_JOB, postgresql_where=FAILED_JOB)
    op.create_index(
        "ix_outbox_failed", "outbox", ["result_id"], sqlite_where=FAILED_DELIVERY, postgresql_where=FAILED_DELIVERY
    )
    op.create_table(
        "judgements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("levels", sa.JSON(), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_judgements_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgements")),
    )
    op.create_index("ix_judgements_run_id", "judgements", ["run_id"])
    op.create_index("ix_judgements_at", "judgements", ["at"])


def downgrade() -> None:
    op.drop_table("judgements")
    op.drop_index("ix_outbox_failed", "outbox")
    op.drop_index("ix_jobs_failed", "jobs")
    op.drop_index("ix_studies_study_date", "studies")
    op.drop_column("studies", "patient_name")
