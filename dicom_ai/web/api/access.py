"""Who calls the API: a token in the Authorization header, and the role that it has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dicom_ai.app import App
from dicom_ai.domain.account import Role, Token
from dicom_ai.storage import accounts, audit
from dicom_ai.storage.database import Database

_bearer = HTTPBearer(auto_error=False, description="A token that an administrator made (dicom-ai users token).")


@dataclass(frozen=True, slots=True)
class Call:
    """One call. token: whose it is."""

    app: App
    token: Token

    @property
    def database(self) -> Database:
        """The node's database."""
        return self.app.database

    @property
    def who(self) -> str:
        """The caller, for the audit trail."""
        return f"token {self.token.name}"

    def viewed(self, subject: str) -> None:
        """Note that a patient was looked at."""
        with self.database.write() as session:
            audit.record(session, self.who, "viewed", subject)


def call_of(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Call:
    """Return the call; refuse one without a valid token."""
    app: App = request.app.state.node
    with app.database.read() as session:
        token = accounts.token(session, given.credentials) if given else None
        late = token is not None and accounts.needs_use(session, token)
    if token is None:
        raise HTTPException(401, "a valid token is needed", headers={"WWW-Authenticate": "Bearer"})
    if late:
        with app.database.write() as session:
            accounts.token_used(session, token.name)
    return Call(app, token)


Calling = Annotated[Call, Depends(call_of)]


def needs(role: Role) -> Callable[[Call], None]:
    """Return what refuses a token without a role."""

    def check(call: Calling) -> None:
        if not call.token.role.may(role):
            raise HTTPException(403, f"this needs the role {role.value}; the token's is {call.token.role.value}")

    return check
