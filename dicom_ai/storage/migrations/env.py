"""Alembic's entry: runs the migrations on the connection that storage/schema.py hands over."""

from alembic import context

from dicom_ai.storage import evidence_tables, neighbour_tables, watch_tables, web_tables  # noqa: F401 - for metadata
from dicom_ai.storage.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
