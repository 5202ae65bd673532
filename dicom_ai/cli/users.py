"""dicom-ai users: accounts of the pages, for a node without a screen and for a password that was forgotten."""

from getpass import getuser
from pathlib import Path

import click

from dicom_ai.cli._process import config_option

ROLES = ("viewer", "operator", "administrator")

password_option = click.password_option(help="Asked for when it is not given; an option shows in the process list.")


@click.group(name="users")
def command() -> None:
    """List and add accounts of the pages, and set their passwords."""


@command.command(name="list")
@config_option
def list_(config: Path | None) -> None:
    """List the accounts with their roles."""
    from dicom_ai.cli._pausing import opened
    from dicom_ai.storage import accounts

    with opened(config) as app, app.database.read() as session:
        for account in accounts.all_of(session):
            click.echo(f"{account.name}  {account.role.value}{'  disabled' if account.disabled else ''}")


@command.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@password_option
@config_option
def add(name: str, role: str, password: str, config: Path | None) -> None:
    """Add an account."""
    from dicom_ai.cli._pausing import opened
    from dicom_ai.domain.account import Role
    from dicom_ai.storage import accounts
    from dicom_ai.web import passwords

    hashed = passwords.hashed(password)
    with opened(config) as app, app.database.write() as session:
        accounts.add(session, name, Role(role), hashed=hashed, who=getuser())
    click.echo(f"added: {name}, {role}")


@command.command()
@click.argument("name")
@password_option
@config_option
def password(name: str, password: str, config: Path | None) -> None:
    """Set the password of an account; its browsers are signed out."""
    from dicom_ai.cli._pausing import opened
    from dicom_ai.storage import accounts
    from dicom_ai.web import passwords

    hashed = passwords.hashed(password)
    with opened(config) as app, app.database.write() as session:
        accounts.set_password(session, name, hashed=hashed, who=getuser())
    click.echo(f"password set: {name}")


@command.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@config_option
def token(name: str, role: str, config: Path | None) -> None:
    """Make a token of the API and print it, this once."""
    from secrets import token_urlsafe

    from dicom_ai.cli._pausing import opened
    from dicom_ai.domain.account import Role
    from dicom_ai.storage import accounts

    secret = token_urlsafe(32)
    with opened(config) as app, app.database.write() as session:
        accounts.add_token(session, name, Role(role), secret=secret, who=getuser())
    click.echo(secret)
