"""What archives count of studies

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archive_counts",
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("counted", sa.JSON(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", name=op.f("pk_archive_counts")),
    )


def downgrade() -> None:
    op.drop_table("archive_counts")
