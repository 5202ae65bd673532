"""An index by which the results of a study are found

Revision: 0018, after 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_results_study_uid", "results", ["study_uid"])


def downgrade() -> None:
    op.drop_index("ix_results_study_uid", "results")
