"""dicom-ai pause: hold what would be sent."""

from pathlib import Path

import click

from dicom_ai.cli._pausing import (
    name_argument,
    opened,
    person,
    require_known,
    subject_of,
    what_argument,
    who_option,
    why_option,
)
from dicom_ai.cli._process import config_option


@click.command(name="pause")
@what_argument
@name_argument
@config_option
@why_option
@who_option
def command(what: str, name: str, config: Path | None, why: str, who: str) -> None:
    """Send nothing any more: of all, or of one rule, model or destination, until dicom-ai resume.

    Receiving, analysing and reporting go on; results wait. What is on its way at this moment still arrives. A pause
    outlives every restart.
    """
    from dicom_ai.storage import pauses

    subject = subject_of(what, name)
    with opened(config) as app:
        require_known(app, subject)
        with app.database.write() as session:
            begun = pauses.pause(session, subject, who=person(who), why=why)
    click.echo(f"paused: {subject.text}" if begun else f"already paused: {subject.text}")
