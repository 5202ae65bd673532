"""The audit trail by person, action and study; tokens that end; accounts of an identity provider

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

AUDIT = sa.table("audit", sa.column("id", sa.Integer), sa.column("subject", sa.Text), sa.column("detail", sa.JSON))
BATCH = 1000


def upgrade() -> None:
    op.add_column("tokens", sa.Column("ends_at", sa.Double(), nullable=True))
    op.add_column("accounts", sa.Column("subject", sa.Text(), nullable=True))
    op.create_index("uq_accounts_subject", "accounts", ["subject"], unique=True)
    for column in ("actor", "action", "subject"):
        op.create_index(f"ix_audit_{column}_id", "audit", [column, "id"])
    listed = op.create_table(
        "audit_studies",
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("audit_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["audit_id"], ["audit.id"], name=op.f("fk_audit_studies_audit_id_audit")),
        sa.PrimaryKeyConstraint("study_uid", "audit_id", name=op.f("pk_audit_studies")),
    )
    lists = sa.select(AUDIT.c.id, AUDIT.c.detail).where(AUDIT.c.subject == "list of studies")
    rows = [
        {"study_uid": uid, "audit_id": row_id}
        for row_id, detail in op.get_bind().execute(lists)
        for uid in dict.fromkeys(str(detail.get("studies", "")).split())
    ]
    for first in range(0, len(rows), BATCH):
        op.bulk_insert(listed, rows[first : first + BATCH])


def downgrade() -> None:
    op.drop_table("audit_studies")
    for column in ("subject", "action", "actor"):
        op.drop_index(f"ix_audit_{column}_id", "audit")
    op.drop_index("uq_accounts_subject", "accounts")
    op.drop_column("accounts", "subject")
    op.drop_column("tokens", "ends_at")
