"""dicom-ai db: the database's tables and first rules."""

from pathlib import Path

import click

from dicom_ai.cli._process import begin, config_option


@click.group(name="db")
def command() -> None:
    """Create or upgrade the database, or say at which revision it is."""


@command.command()
@config_option
@click.option(
    "--rules-on", is_flag=True, help="Seed a database that is not in use yet with rules that are on, not in shadow."
)
def upgrade(config: Path | None, rules_on: bool) -> None:
    """Bring the database to this release; seed it with the shipped rules, in shadow, when it has none."""
    from dicom_ai.app import open_app, prepare
    from dicom_ai.storage import schema

    app = open_app(begin(config))
    before = schema.current(app.database)
    prepare(app, rules_on=rules_on)
    click.echo(f"database: revision {before or 'none'} -> {schema.current(app.database)}")
    app.close()


@command.command()
@click.argument("revision")
@config_option
def downgrade(revision: str, config: Path | None) -> None:
    """Take the database back to REVISION, that of an older release, which can then be started again.

    Stop every process before, and make a dicom-ai backup. Studies, jobs and results stay, and what waits goes on; what
    only the newer release keeps is dropped.
    """
    from dicom_ai.app import open_app
    from dicom_ai.storage import schema

    app = open_app(begin(config))
    before = schema.current(app.database)
    schema.downgrade(app.database, to=revision)
    click.echo(f"database: revision {before or 'none'} -> {schema.current(app.database)}")
    app.close()


@command.command()
@config_option
def check(config: Path | None) -> None:
    """Exit with 1 unless the database has the tables of this release."""
    from dicom_ai.app import open_app
    from dicom_ai.errors import ConfigError
    from dicom_ai.storage import schema

    app = open_app(begin(config))
    schema.require_newest(app.database)
    differences = schema.drift(app.database)
    app.close()
    if differences:
        raise ConfigError(f"the tables differ from this release in {len(differences)} places: {differences[0]}")
    click.echo(f"database: revision {schema.newest()}, as this release needs it")
