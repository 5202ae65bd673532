"""The accounts of the pages: who may sign in and as what, for administrators."""

from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from dicom_ai.domain.account import Role
from dicom_ai.errors import ConfigError
from dicom_ai.storage import accounts
from dicom_ai.web import passwords
from dicom_ai.web.visit import Visit, Visiting

Name = Annotated[str, Form(max_length=64)]
Password = Annotated[str, Form(max_length=1024)]


def show(visit: Visiting) -> Response:
    """Show the accounts."""
    return _page(visit)


def add(visit: Visiting, name: Name, role: Annotated[Role, Form()], password: Password, repeated: Password) -> Response:
    """Add an account."""
    name = name.strip()
    try:
        hashed = _hashed(password, repeated)
        with visit.database.write() as session:
            accounts.add(session, name, role, hashed=hashed, who=visit.who)
    except ConfigError as error:
        return _page(visit, problem=str(error), name=name, role=role)
    return visit.go("/accounts", notice=f"Added: {name}, {role.value}.")


def change_role(visit: Visiting, name: Name, role: Annotated[Role, Form()]) -> Response:
    """Give an account another role."""
    try:
        with visit.database.write() as session:
            accounts.set_role(session, name, role, who=visit.who)
    except ConfigError as error:
        return _page(visit, problem=str(error))
    return visit.go(_next(visit, name, role), notice=f"{name} is {role.value}.")


def set_password(visit: Visiting, name: Name, password: Password, repeated: Password) -> Response:
    """Set a password; the account's browsers are signed out."""
    try:
        hashed = _hashed(password, repeated)
        with visit.database.write() as session:
            accounts.set_password(session, name, hashed=hashed, who=visit.who)
    except ConfigError as error:
        return _page(visit, problem=str(error))
    return visit.go("/accounts", notice=f"The password of {name} is set.")


def shut_out(visit: Visiting, name: Name) -> Response:
    """Disable an account and sign out its browsers."""
    return _set_disabled(visit, name, disabled=True)


def let_in(visit: Visiting, name: Name) -> Response:
    """Let a disabled account in again, with the password it had."""
    return _set_disabled(visit, name, disabled=False)


def _set_disabled(visit: Visit, name: str, *, disabled: bool) -> Response:
    try:
        with visit.database.write() as session:
            accounts.set_disabled(session, name, disabled=disabled, who=visit.who)
    except ConfigError as error:
        return _page(visit, problem=str(error))
    return visit.go("/accounts", notice=f"{name} is {'disabled' if disabled else 'enabled'}.")


def _hashed(password: str, repeated: str) -> str:
    """Return the hash of a password that was typed twice. Raises ConfigError where it differs or is too short."""
    if password != repeated:
        raise ConfigError("the two passwords differ")
    return passwords.hashed(password)


def _next(visit: Visit, name: str, role: Role) -> str:
    """Return the page to show after a change of role: who gave away their own may not see the accounts any more."""
    return "/" if name == visit.who and role is not Role.ADMINISTRATOR else "/accounts"


def _page(visit: Visit, *, problem: str = "", name: str = "", role: Role = Role.VIEWER) -> Response:
    with visit.database.read() as session:
        found = accounts.all_of(session)
    return visit.page(
        "accounts.html",
        status=422 if problem else 200,
        accounts=found,
        roles=[item.value for item in Role],
        shortest=passwords.SHORTEST,
        problem=problem,
        name=name,
        role=role.value,
    )
