"""The first start: an administrator is made, from this machine, before anything else can be seen.

There is no default password. Only a browser on the node's own machine is let in here, so that nobody on the network
can be first; elsewhere, `dicom-ai users add` makes the account.
"""

from ipaddress import ip_address
from typing import Annotated

from fastapi import Form, HTTPException
from starlette.responses import Response

from dicom_ai.domain.account import Role
from dicom_ai.errors import ConfigError
from dicom_ai.storage import accounts
from dicom_ai.web import passwords
from dicom_ai.web.pages.login import begin
from dicom_ai.web.visit import Visit, Visiting


def show(visit: Visiting) -> Response:
    """Show the form."""
    _require_first(visit)
    return visit.page("first_start.html", name="admin", problem="", shortest=passwords.SHORTEST)


def save(
    visit: Visiting,
    name: Annotated[str, Form()],
    password: Annotated[str, Form()],
    repeated: Annotated[str, Form()],
) -> Response:
    """Make the administrator's account and sign in with it."""
    _require_first(visit)
    try:
        if password != repeated:
            raise ConfigError("the two passwords differ")
        hashed = passwords.hashed(password)
        with visit.database.write() as session:
            if accounts.exist(session):
                raise HTTPException(404)
            accounts.add(session, name.strip(), Role.ADMINISTRATOR, hashed=hashed, who="first start")
    except ConfigError as error:
        return visit.page("first_start.html", status=422, name=name, problem=str(error), shortest=passwords.SHORTEST)
    return begin(visit, name.strip(), "/")


def _require_first(visit: Visit) -> None:
    """Raise HTTPException unless there is no account yet and the browser runs on this machine."""
    with visit.database.read() as session:
        if accounts.exist(session):
            raise HTTPException(404)
    if not _is_local(visit.request.client.host if visit.request.client else ""):
        raise HTTPException(
            403, "The first account is made on the node itself: open this page there, or run dicom-ai users add."
        )


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
