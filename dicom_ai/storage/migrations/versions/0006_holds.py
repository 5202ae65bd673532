"""Holds: what waits for a person

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("result_id", sa.Integer(), nullable=True),
        sa.Column("destination", sa.String(length=128), nullable=False),
        sa.Column("blocks", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_holds_run_id_runs")),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"], name=op.f("fk_holds_result_id_results")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_study_uid"), "holds", ["study_uid"], unique=False)
    op.create_index(op.f("ix_holds_ended_at"), "holds", ["ended_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_holds_ended_at"), table_name="holds")
    op.drop_index(op.f("ix_holds_study_uid"), table_name="holds")
    op.drop_table("holds")
