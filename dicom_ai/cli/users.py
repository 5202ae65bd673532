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
@click.option("--days", type=click.IntRange(1, 36_500), help="It counts for so many days; without: for ever.")
@config_option
def token(name: str, role: str, days: int | None, config: Path | None) -> None:
    """Make a token of the API and print it, this once."""
    from secrets import token_urlsafe

    from dicom_ai.cli._pausing import opened
    from dicom_ai.domain.account import Role
    from dicom_ai.storage import accounts
    from dicom_ai.storage.database import now

    secret = token_urlsafe(32)
    with opened(config) as app, app.database.write() as session:
        ends_at = now(session) + days * 86_400 if days else None
        accounts.add_token(session, name, Role(role), secret=secret, who=getuser(), ends_at=ends_at)
    click.echo(secret)


@command.command()
@config_option
def tokens(config: Path | None) -> None:
    """List the tokens of the API: name, role, whether it counts."""
    from dicom_ai.cli._pausing import opened
    from dicom_ai.storage import accounts

    with opened(config) as app, app.database.read() as session:
        for found in accounts.tokens(session):
            click.echo(f"{found.name}  {found.role.value}  {found.state}")


@command.command()
@click.argument("name")
@config_option
def revoke(name: str, config: Path | None) -> None:
    """End a token of the API at once."""
    from dicom_ai.cli._pausing import opened
    from dicom_ai.storage import accounts

    with opened(config) as app, app.database.write() as session:
        accounts.revoke_token(session, name, who=getuser())
    click.echo(f"revoked: {name}")
