"""Versions of destinations as releases before 0019 kept them: each with the secret of its time."""

import json

import sqlalchemy as sa

from dicom_ai.storage import schema
from dicom_ai.storage.database import Database

OLD, NEW = "Bearer of last year", "Bearer of today"


def keep_old_versions(database: Database) -> None:
    """Go back to the tables of before, and keep two versions there."""
    schema.downgrade(database, to="0018")
    with database.write() as session:
        for number, secret in enumerate((OLD, NEW), 1):
            web = {
                "name": "web",
                "kind": "stow_rs",
                "parameters": {"url": "https://a.example", "authorization": secret},
            }
            shelf = {"name": "shelf", "kind": "folder", "parameters": {"folder": "/srv"}}
            session.execute(
                sa.text("INSERT INTO neighbour_versions VALUES (:version, 1.0, 'ada', 'a note', :content)"),
                {"version": number, "content": json.dumps({"destinations": [web, shelf], "peers": []})},
            )


def contents(database: Database) -> str:
    """Return the contents of all versions."""
    with database.read() as session:
        return str(session.execute(sa.text("SELECT content FROM neighbour_versions")).all())
