"""Who may do what on the pages and through the API."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person or a token may do. Each may do all that the one before may.

    viewer: look. operator: retry, pause, judge results. administrator: rules, destinations, models, accounts.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    def may(self, needed: "Role") -> bool:
        """Say whether this role includes another."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Account:
    """An account; disabled: nobody may sign in with it.

    is_local: it has a password here; otherwise an identity provider says who it is and which role it has.
    """

    name: str
    role: Role
    created_at: float
    disabled: bool
    is_local: bool = True


@dataclass(frozen=True, slots=True)
class SignIn:
    """A browser that is signed in. csrf: what its forms must carry."""

    account: Account
    csrf: str


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the API as an administrator sees it; its text is shown once and kept nowhere.

    used_at: when it was last used, to a minute. ends_at: until when it counts; None: for ever. ended: that has passed.
    """

    name: str
    role: Role
    made_by: str
    created_at: float
    used_at: float | None
    revoked: bool
    ends_at: float | None = None
    ended: bool = False

    @property
    def state(self) -> str:
        """Whether it opens anything, in a word."""
        return "revoked" if self.revoked else "ended" if self.ended else "valid"
