"""Destinations and peers in versions, what trials of destinations showed, and models that are off

Revision: 0016, after 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "neighbour_versions",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_neighbour_versions")),
    )
    op.create_table(
        "destination_trials",
        sa.Column("destination", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("destination", "kind", name=op.f("pk_destination_trials")),
    )
    op.create_table(
        "models_off",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_models_off")),
    )


def downgrade() -> None:
    op.drop_table("models_off")
    op.drop_table("destination_trials")
    op.drop_table("neighbour_versions")
