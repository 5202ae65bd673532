"""A node that has received, analysed, reported and sent one small study: every page has something to show."""

import time
from pathlib import Path

import sqlalchemy as sa

from dicom_ai import settings
from dicom_ai.app import App, open_app
from dicom_ai.domain.account import Role
from dicom_ai.domain.destination import Destination
from dicom_ai.domain.output import Output
from dicom_ai.pipeline import send
from dicom_ai.storage import accounts
from dicom_ai.storage.tables import StudyRow
from tests.unit.pipeline.lab import Lab
from tests.unit.pipeline.test_report import analysed, reported

HOSTILE = "<script>alert(1)</script>^Jane"
"""A patient name that is a script where a page does not escape it."""

OUTPUTS = frozenset({Output.SEG, Output.SR, Output.PDF, Output.PICTURE})
"""What goes to the archive of the node."""


def lab_node(folder: Path, hashed: str, *, sent: bool = True) -> tuple[Lab, App]:
    """Return a laboratory whose study has a report, and a node of pages on the same database and files."""
    folder.mkdir(exist_ok=True)
    lab = Lab(folder, at=time.time() - 3600)
    lab.destinations = {"pacs": Destination("pacs", "folder", outputs=OUTPUTS)}
    analysed(lab)
    reported(lab)
    if sent:
        (folder / "out").mkdir()
        sender = lab.sender(Destination("pacs", "folder", {"folder": str(folder / "out")}, outputs=OUTPUTS))
        turn = send.claim(sender, "sender", 60)
        assert turn is not None
        send.run(sender, turn)
    with lab.database.write() as session:
        session.execute(sa.update(StudyRow).values(patient_name=HOSTILE, patient_id="P-1", accession="A-1"))
    app = open_app(
        settings.Settings(
            storage=settings.Storage(
                data_dir=folder / "data", database_url=f"sqlite:///{folder / 'node.db'}", reserve_bytes=0
            ),
            web=settings.Web(time_zone="Europe/Berlin", viewer_url="https://ohif.example/viewer"),
            destinations=(
                settings.DestinationSettings(
                    name="pacs",
                    kind="folder",
                    parameters={"folder": str(folder / "out")},
                    outputs=tuple(sorted(OUTPUTS)),
                ),
            ),
        )
    )
    with app.database.write() as session:
        for role in Role:
            accounts.add(session, role.value, role, hashed=hashed, who="test")
    return lab, app
