"""Who calls the API: a token in the Authorization header, and the role that it has; and what a call is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field

from dicom_ai.app import App
from dicom_ai.domain.account import Role, Token
from dicom_ai.storage import accounts, audit
from dicom_ai.storage.database import Database

VIEWER, OPERATOR, ADMINISTRATOR = Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR

Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
Version = Annotated[int, Field(ge=0, le=2**31 - 1)]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(max_length=128, pattern=r"^[^\x00]*$")]

_bearer = HTTPBearer(auto_error=False, description="A token that an administrator made, on the page Tokens.")


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call, and the role that a token needs for it."""

    method: Literal["GET", "POST"]
    path: str
    view: Callable[..., Any]
    role: Role


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it is made. token: whose it is."""

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

    def viewed_many(self, study_uids: Sequence[str]) -> None:
        """Note that a list of studies was looked at."""
        if study_uids:
            with self.database.write() as session:
                audit.record(session, self.who, "viewed", "list of studies", {audit.STUDIES: " ".join(study_uids)})


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


def found(item: Any, what: str) -> Any:
    """Return something that is there. Raises HTTPException."""
    if item is None:
        raise HTTPException(404, f"the node has no such {what}")
    return item
