"""An index by which the last analyses of a model are found

Revision: 0021, after 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_jobs_model_finished_at", "jobs", ["model", "finished_at"])


def downgrade() -> None:
    op.drop_index("ix_jobs_model_finished_at", "jobs")
