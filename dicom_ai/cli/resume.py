"""dicom-ai resume: send again what a pause held."""

from pathlib import Path

import click

from dicom_ai.cli._pausing import name_argument, opened, person, subject_of, what_argument, who_option, why_option
from dicom_ai.cli._process import config_option
from dicom_ai.errors import ConfigError


@click.command(name="resume")
@what_argument
@name_argument
@config_option
@why_option
@who_option
def command(what: str, name: str, config: Path | None, why: str, who: str) -> None:
    """End a pause: what it held is sent at once, unless another pause holds it too."""
    from dicom_ai.storage import pauses

    subject = subject_of(what, name)
    with opened(config) as app, app.database.write() as session:
        if not pauses.resume(session, subject, who=person(who), why=why):
            paused = ", ".join(item.subject.text for item in pauses.all_of(session)) or "nothing"
            raise ConfigError(f"{subject.text} is not paused; paused are: {paused}")
    click.echo(f"resumed: {subject.text}")
