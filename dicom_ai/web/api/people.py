"""Who may do what, and what was done: accounts, tokens, the audit trail. For administrators."""

import secrets
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from dicom_ai.domain.account import Role
from dicom_ai.errors import ConfigError
from dicom_ai.storage import accounts, audit
from dicom_ai.web import passwords, trail
from dicom_ai.web.api.access import ADMINISTRATOR, ApiCall, Calling, Name
from dicom_ai.web.days import end_of
from dicom_ai.web.rendering import zone_of
from dicom_ai.web.trail import Asked, Before

NewName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]
Password = Annotated[str, Field(max_length=1024)]


class NewAccount(BaseModel):
    """An account to add."""

    name: NewName
    role: Role
    password: Password


class NewRole(BaseModel):
    """The role that an account shall have."""

    role: Role


class NewPassword(BaseModel):
    """The password that an account shall have."""

    password: Password


class Disabled(BaseModel):
    """Whether nobody may sign in with an account."""

    disabled: bool


class NewToken(BaseModel):
    """A token to make. ends: its last day (2026-12-31) in the site's zone; none: until it is revoked."""

    name: NewName
    role: Role
    ends: Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""


class AskedTrail(Asked):
    """What to look for in the trail. before: the id of the last event of the page before."""

    before: Before = None
    most: Annotated[int, Field(ge=1, le=1000)] = 100


def list_accounts(call: Calling) -> list[dict[str, Any]]:
    """Return the accounts."""
    with call.database.read() as session:
        return [asdict(item) for item in accounts.all_of(session)]


def add_account(call: Calling, wanted: NewAccount) -> dict[str, Any]:
    """Add an account."""
    hashed = passwords.hashed(wanted.password)
    with call.database.write() as session:
        return asdict(accounts.add(session, wanted.name.strip(), wanted.role, hashed=hashed, who=call.who))


def set_role(call: Calling, name: Name, wanted: NewRole) -> dict[str, str]:
    """Give an account another role."""
    with call.database.write() as session:
        accounts.set_role(session, name, wanted.role, who=call.who)
    return {"role": wanted.role.value}


def set_password(call: Calling, name: Name, wanted: NewPassword) -> dict[str, str]:
    """Set a password; the account's browsers are signed out."""
    hashed = passwords.hashed(wanted.password)
    with call.database.write() as session:
        accounts.set_password(session, name, hashed=hashed, who=call.who)
    return {"done": "the password is set"}


def set_disabled(call: Calling, name: Name, wanted: Disabled) -> dict[str, bool]:
    """Shut an account out, or let it in again."""
    with call.database.write() as session:
        accounts.set_disabled(session, name, disabled=wanted.disabled, who=call.who)
    return {"disabled": wanted.disabled}


def list_tokens(call: Calling) -> list[dict[str, Any]]:
    """Return the tokens, without their texts."""
    with call.database.read() as session:
        return [asdict(item) | {"state": item.state} for item in accounts.tokens(session)]


def make_token(call: Calling, wanted: NewToken) -> dict[str, Any]:
    """Make a token, and return its text, this once."""
    ends_at = end_of(wanted.ends, zone_of(call.app.settings.web.time_zone))
    if wanted.ends and ends_at is None:
        raise ConfigError(f"{wanted.ends!r} is no day")
    secret = secrets.token_urlsafe(32)
    with call.database.write() as session:
        made = accounts.add_token(session, wanted.name, wanted.role, secret=secret, who=call.who, ends_at=ends_at)
    return asdict(made) | {"token": secret}


def revoke_token(call: Calling, name: Name) -> dict[str, str]:
    """End a token at once."""
    with call.database.write() as session:
        accounts.revoke_token(session, name, who=call.who)
    return {"done": "revoked"}


def show_trail(call: Calling, asked: Annotated[AskedTrail, Query()]) -> dict[str, Any]:
    """Return events of the audit trail, newest first; older: what to ask for as before to go on."""
    wanted = asked.search(zone_of(call.app.settings.web.time_zone))
    with call.database.read() as session:
        found = audit.search(session, wanted, before=asked.before, most=asked.most + 1)
    if asked.before is None:
        trail.note_look(call.database, call.who, asked)
    events = [asdict(item) for item in found[: asked.most]]
    return {"events": events, "older": found[asked.most - 1].id if len(found) > asked.most else None}


def export_trail(call: Calling, asked: Annotated[Asked, Query()]) -> Response:
    """Return every event that fits as CSV."""
    trail.note_look(call.database, call.who, asked, exported=True)
    return trail.download(call.database, asked.search(zone_of(call.app.settings.web.time_zone)))


CALLS = (
    ApiCall("GET", "/accounts", list_accounts, ADMINISTRATOR),
    ApiCall("POST", "/accounts", add_account, ADMINISTRATOR),
    ApiCall("POST", "/accounts/{name}/role", set_role, ADMINISTRATOR),
    ApiCall("POST", "/accounts/{name}/password", set_password, ADMINISTRATOR),
    ApiCall("POST", "/accounts/{name}/disabled", set_disabled, ADMINISTRATOR),
    ApiCall("GET", "/tokens", list_tokens, ADMINISTRATOR),
    ApiCall("POST", "/tokens", make_token, ADMINISTRATOR),
    ApiCall("POST", "/tokens/{name}/revoke", revoke_token, ADMINISTRATOR),
    ApiCall("GET", "/audit", show_trail, ADMINISTRATOR),
    ApiCall("GET", "/audit/trail.csv", export_trail, ADMINISTRATOR),
)
