"""The tokens of the API: which there are, making one, ending one; for administrators."""

import secrets
from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from dicom_ai.domain.account import Role
from dicom_ai.errors import ConfigError
from dicom_ai.storage import accounts
from dicom_ai.web.days import end_of
from dicom_ai.web.visit import Visit, Visiting

Name = Annotated[str, Form(max_length=64)]
Day = Annotated[str, Form(max_length=10)]


def show(visit: Visiting) -> Response:
    """Show the tokens."""
    return _page(visit)


def make(visit: Visiting, name: Name, role: Annotated[Role, Form()], ends: Day = "") -> Response:
    """Make a token and show its text, this once: it goes into no address, and is not kept."""
    name = name.strip()
    ends_at = end_of(ends, visit.site.pages.zone)
    secret = secrets.token_urlsafe(32)
    try:
        if ends and ends_at is None:
            raise ConfigError(f"{ends!r} is no day")
        with visit.database.write() as session:
            accounts.add_token(session, name, role, secret=secret, who=visit.who, ends_at=ends_at)
    except ConfigError as error:
        return _page(visit, problem=str(error), name=name, role=role, ends=ends)
    return _page(visit, made=name, secret=secret)


def revoke(visit: Visiting, name: Name) -> Response:
    """End a token at once."""
    try:
        with visit.database.write() as session:
            accounts.revoke_token(session, name, who=visit.who)
    except ConfigError as error:
        return _page(visit, problem=str(error))
    return visit.go("/tokens", notice=f"The token {name} is revoked.")


def _page(
    visit: Visit, *, problem: str = "", name: str = "", role: Role = Role.VIEWER, ends: str = "", **made: str
) -> Response:
    with visit.database.read() as session:
        found = accounts.tokens(session)
    return visit.page(
        "tokens.html",
        status=422 if problem else 200,
        tokens=found,
        roles=[item.value for item in Role],
        problem=problem,
        name=name,
        role=role.value,
        ends=ends,
        made=made.get("made", ""),
        secret=made.get("secret", ""),
    )
