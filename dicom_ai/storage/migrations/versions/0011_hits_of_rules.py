"""An index by which the series that a rule took of late are counted

Revision: 0011, after 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_decisions_rule_decided_at", "decisions", ["rule", "decided_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_decisions_rule_decided_at", table_name="decisions")
