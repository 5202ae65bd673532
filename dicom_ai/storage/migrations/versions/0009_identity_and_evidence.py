"""Whose images these are, why no more are expected, and which results are withdrawn

Revision: 0009, after 0008
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

AGAIN = sa.text("standing = 'again'")
COLUMNS: tuple[tuple[str, str, Any], ...] = (
    ("studies", "corrected_at", sa.Double()),
    ("studies", "evidence", sa.Text()),
    ("studies", "evidence_at", sa.Double()),
    ("studies", "looked_at", sa.Double()),
    ("series", "evidence", sa.Text()),
    ("series", "evidence_at", sa.Double()),
    ("instances", "patient", sa.Integer()),
    ("associations", "released", sa.Boolean()),
    ("results", "withdrawn_at", sa.Double()),
    ("results", "withdrawn_why", sa.Text()),
)


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    for table in ("outbox", "destinations"):
        op.add_column(table, sa.Column("checked", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_results_withdrawn_at", "results", ["withdrawn_at"], unique=False)
    op.create_index("ix_instances_again", "instances", ["study_uid"], sqlite_where=AGAIN, postgresql_where=AGAIN)
    op.create_table(
        "study_patients",
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Text(), nullable=False),
        sa.Column("same_as", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name=op.f("fk_study_patients_study_uid_studies")),
        sa.PrimaryKeyConstraint("study_uid", "number", name=op.f("pk_study_patients")),
    )
    op.create_table(
        "announcements",
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.JSON(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("series_uid", "step", name=op.f("pk_announcements")),
    )
    op.create_index(op.f("ix_announcements_study_uid"), "announcements", ["study_uid"], unique=False)
    op.create_table(
        "procedure_steps",
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_procedure_steps")),
    )
    op.create_index(op.f("ix_procedure_steps_study_uid"), "procedure_steps", ["study_uid"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_procedure_steps_study_uid"), table_name="procedure_steps")
    op.drop_table("procedure_steps")
    op.drop_index(op.f("ix_announcements_study_uid"), table_name="announcements")
    op.drop_table("announcements")
    op.drop_table("study_patients")
    op.drop_index("ix_instances_again", table_name="instances")
    op.drop_index("ix_results_withdrawn_at", table_name="results")
    op.execute("UPDATE instances SET standing = 'conflict' WHERE standing IN ('again', 'spare')")
    for table in ("destinations", "outbox"):
        op.drop_column(table, "checked")
    for table, name, _ in reversed(COLUMNS):
        op.drop_column(table, name)
