"""The earlier names of a paused rule that was named anew

Revision: 0020, after 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pauses", sa.Column("earlier", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("pauses", "earlier")
