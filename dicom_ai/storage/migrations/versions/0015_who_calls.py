"""Who calls the node, and of how many received images the audit trail tells

Revision: 0015, after 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

UNTOLD = sa.text("images <> told")


def upgrade() -> None:
    op.create_table(
        "callers",
        sa.Column("calling_ae_title", sa.String(length=128), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("called_at", sa.Double(), nullable=True),
        sa.Column("verified_at", sa.Double(), nullable=True),
        sa.Column("rejected_at", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("calling_ae_title", "address", name=op.f("pk_callers")),
    )
    op.execute(
        "INSERT INTO callers (calling_ae_title, address, called_at, reason) "
        "SELECT calling_ae_title, peer_address, MAX(opened_at), '' FROM associations "
        "GROUP BY calling_ae_title, peer_address"
    )
    op.add_column("association_studies", sa.Column("told", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE association_studies SET told = images")  # what came before is not told now
    op.create_index(
        "ix_association_studies_untold",
        "association_studies",
        ["study_uid"],
        sqlite_where=UNTOLD,
        postgresql_where=UNTOLD,
    )


def downgrade() -> None:
    op.drop_index("ix_association_studies_untold", "association_studies")
    op.drop_column("association_studies", "told")
    op.drop_table("callers")
