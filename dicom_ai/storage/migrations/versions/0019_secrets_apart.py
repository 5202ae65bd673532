"""Secrets of destinations beside their versions, which held every one that ever was

Revision: 0019, after 0018
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SECRET = "authorization"

_versions = sa.table("neighbour_versions", sa.column("version", sa.Integer()), sa.column("content", sa.JSON()))
_secrets = sa.table(
    "destination_secrets",
    sa.column("destination", sa.String()),
    sa.column("parameter", sa.String()),
    sa.column("value", sa.Text()),
)


def upgrade() -> None:
    op.create_table(
        "destination_secrets",
        sa.Column("destination", sa.String(length=128), nullable=False),
        sa.Column("parameter", sa.String(length=128), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("destination", "parameter", name=op.f("pk_destination_secrets")),
    )
    for number, row in enumerate(_newest_first()):
        found = [item for item in row.content["destinations"] if item["parameters"].get(SECRET)]
        for item in found:
            if number == 0:
                values = {"destination": item["name"], "parameter": SECRET, "value": str(item["parameters"][SECRET])}
                op.execute(sa.insert(_secrets).values(**values))
            item["parameters"][SECRET] = None
        if found:
            _write(row)


def downgrade() -> None:
    rows = op.get_bind().execute(sa.select(_secrets.c.destination, _secrets.c.value))
    secrets = {row.destination: row.value for row in rows}
    for row in _newest_first():
        for item in row.content["destinations"]:
            if SECRET in item["parameters"]:
                secret = secrets.get(item["name"])
                item["parameters"] = {key: value for key, value in item["parameters"].items() if key != SECRET}
                item["parameters"] |= {SECRET: secret} if secret else {}
        _write(row)
    op.drop_table("destination_secrets")


def _newest_first() -> list[Any]:
    query = sa.select(_versions.c.version, _versions.c.content).order_by(_versions.c.version.desc())
    return list(op.get_bind().execute(query))


def _write(row: Any) -> None:
    op.execute(sa.update(_versions).where(_versions.c.version == row.version).values(content=row.content))
