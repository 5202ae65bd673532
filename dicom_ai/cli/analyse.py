"""dicom-ai analyse: ask for a study that the node has, whatever its age."""

from pathlib import Path

import click

from dicom_ai.cli._pausing import opened, person, who_option
from dicom_ai.cli._process import config_option
from dicom_ai.errors import ConfigError


@click.command(name="analyse")
@click.argument("study_uid")
@config_option
@who_option
def command(study_uid: str, config: Path | None, who: str) -> None:
    """Route a study again by the present rules, and analyse what they take even if it is old.

    What was analysed already, with the same images and model, is not analysed again.
    """
    from dicom_ai.storage import studies

    with opened(config) as app, app.database.write() as session:
        if not studies.ask_for(session, study_uid, who=person(who)):
            raise ConfigError(f"study {study_uid} is not known here")
    click.echo(f"study {study_uid} is routed again; dicom-ai status --study {study_uid} says what became of it")
