"""What rules see of a series beside its header, so that rules can be tried when its images are gone

Revision: 0014, after 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("series", sa.Column("derived", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("series", "derived")
