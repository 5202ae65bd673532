"""An index of the images that retention has not deleted

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_instances_on_disk",
        "instances",
        ["study_uid", "series_uid"],
        unique=False,
        sqlite_where=sa.text("standing <> 'deleted'"),
        postgresql_where=sa.text("standing <> 'deleted'"),
    )


def downgrade() -> None:
    op.drop_index("ix_instances_on_disk", table_name="instances")
