"""Accounts, who is signed in, and the API's tokens. Secrets come in and are kept as digests; none is ever returned.

A password arrives as its argon2 hash; the web floor hashes and verifies, because that takes time that no transaction
should be open for.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicom_ai.domain.account import Account, Role, SignIn, Token
from dicom_ai.errors import ConfigError
from dicom_ai.storage import audit
from dicom_ai.storage.database import now
from dicom_ai.storage.web_tables import AccountRow, SignInRow, TokenRow

SEEN_GAP_S = 60.0
"""The last sight of a browser or token is written at most this often: a part that refreshes itself asks often."""

LONGEST_ABROAD_S = 12 * 3600.0
"""After so long an identity provider is asked again: whom it no longer knows, or gives another role, is not here."""

PROVIDER = "identity provider"
"""Who adds accounts and gives roles where people sign in elsewhere."""


def exist(session: Session) -> bool:
    """Say whether there is any account."""
    return session.scalar(sa.select(sa.exists(sa.select(AccountRow.name)))) or False


def all_of(session: Session) -> Sequence[Account]:
    """Return every account, by name."""
    return tuple(_account(row) for row in session.scalars(sa.select(AccountRow).order_by(AccountRow.name)))


def find(session: Session, name: str) -> Account | None:
    """Return an account; None where there is none of that name."""
    row = session.get(AccountRow, name)
    return None if row is None else _account(row)


def password_hash(session: Session, name: str) -> str | None:
    """Return the hash to verify a password against; None for an unknown or disabled account, or one without any."""
    row = session.get(AccountRow, name)
    return (row.password_hash or None) if row is not None and row.disabled_at is None else None


def add(session: Session, name: str, role: Role, *, hashed: str, who: str) -> Account:
    """Add an account. Raises ConfigError where the name is taken or empty."""
    if not name.strip() or session.get(AccountRow, name) is not None:
        raise ConfigError(f"account {name!r}: the name is {'taken' if name.strip() else 'empty'}")
    row = AccountRow(name=name, role=role, password_hash=hashed, created_at=now(session))
    session.add(row)
    session.flush()
    audit.record(session, who, "account added", f"account {name}", {"role": role.value})
    return _account(row)


def from_provider(session: Session, subject: str, name: str, role: Role) -> Account:
    """Return the account of somebody whom an identity provider vouches for, with the role that it gives now.

    subject: what the provider knows them by; the name is taken the first time. Raises ConfigError where the name is
    another's, or the account is disabled.
    """
    row = session.scalars(sa.select(AccountRow).where(AccountRow.subject == subject)).first()
    if row is None:
        added = add(session, name, role, hashed="", who=PROVIDER)
        session.get_one(AccountRow, added.name).subject = subject
        session.flush()
        return _account(session.get_one(AccountRow, added.name))
    if row.disabled_at is not None:
        raise ConfigError(f"account {row.name!r} is disabled")
    if row.role != role:
        detail: audit.Detail = {"before": row.role, "after": role.value}
        audit.record(session, PROVIDER, "role changed", f"account {row.name}", detail)
        row.role = role
    return _account(row)


def set_password(session: Session, name: str, *, hashed: str, who: str) -> None:
    """Change a password, and sign out every browser of the account. Raises ConfigError where it has none."""
    _local_row(session, name).password_hash = hashed
    sign_out_all(session, name)
    audit.record(session, who, "password changed", f"account {name}")


def set_role(session: Session, name: str, role: Role, *, who: str) -> None:
    """Give an account another role. Raises ConfigError where no administrator would be left, or it is not ours."""
    row = _local_row(session, name)
    before, row.role = row.role, role
    _require_administrator(session)
    audit.record(session, who, "role changed", f"account {name}", {"before": before, "after": role.value})


def set_disabled(session: Session, name: str, *, disabled: bool, who: str) -> None:
    """Shut an account out, or let it in again. Raises ConfigError where no administrator would be left."""
    row = _row(session, name)
    row.disabled_at = now(session) if disabled else None
    _require_administrator(session)
    if disabled:
        sign_out_all(session, name)
    audit.record(session, who, "account disabled" if disabled else "account enabled", f"account {name}")


def sign_in(session: Session, name: str, *, secret: str) -> SignIn:
    """Note that a browser with this cookie is signed in."""
    at = now(session)
    csrf = secrets.token_hex(32)
    session.add(SignInRow(digest=_digest(secret), account=name, csrf=csrf, begun_at=at, seen_at=at))
    audit.record(session, name, "signed in", f"account {name}")
    return SignIn(_account(_row(session, name)), csrf)


def signed_in(session: Session, secret: str, *, idle_s: float) -> SignIn | None:
    """Return who a cookie belongs to; None for an unknown one, or after the browser was idle for so long."""
    row = session.get(SignInRow, _digest(secret))
    if row is None or row.seen_at < now(session) - idle_s:
        return None
    account = _row(session, row.account)
    is_stale = account.subject is not None and row.begun_at < now(session) - LONGEST_ABROAD_S
    return None if is_stale or account.disabled_at is not None else SignIn(_account(account), row.csrf)


def needs_sight(session: Session, secret: str) -> bool:
    """Say whether the last sight of a browser is old enough to be written again."""
    row = session.get(SignInRow, _digest(secret))
    return row is not None and row.seen_at < now(session) - SEEN_GAP_S


def seen(session: Session, secret: str) -> None:
    """Note that a browser was seen now."""
    session.execute(sa.update(SignInRow).where(SignInRow.digest == _digest(secret)).values(seen_at=now(session)))


def sign_out(session: Session, secret: str) -> None:
    """Forget a browser."""
    session.execute(sa.delete(SignInRow).where(SignInRow.digest == _digest(secret)))


def sign_out_all(session: Session, name: str) -> None:
    """Forget every browser of an account."""
    session.execute(sa.delete(SignInRow).where(SignInRow.account == name))


def forget_idle(session: Session, *, idle_s: float) -> None:
    """Forget every browser that was idle for so long."""
    session.execute(sa.delete(SignInRow).where(SignInRow.seen_at < now(session) - idle_s))


def add_token(session: Session, name: str, role: Role, *, secret: str, who: str, ends_at: float | None = None) -> Token:
    """Add a token of the API. Raises ConfigError where the name is taken or empty, or it would have ended already."""
    taken = session.scalars(sa.select(TokenRow).where(TokenRow.name == name)).first() is not None
    if not name.strip() or taken:
        raise ConfigError(f"token {name!r}: the name is {'taken' if taken else 'empty'}")
    if ends_at is not None and ends_at <= now(session):
        raise ConfigError(f"token {name!r}: it would have ended already")
    row = TokenRow(digest=_digest(secret), name=name, role=role, made_by=who, created_at=now(session), ends_at=ends_at)
    session.add(row)
    session.flush()
    ends = "" if ends_at is None else datetime.fromtimestamp(ends_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    audit.record(session, who, "token added", f"token {name}", {"role": role.value, "ends": ends})
    return _token(session, row)


def revoke_token(session: Session, name: str, *, who: str) -> None:
    """End a token. Raises ConfigError for an unknown one."""
    row = session.scalars(sa.select(TokenRow).where(TokenRow.name == name)).first()
    if row is None:
        raise ConfigError(f"there is no token {name!r}")
    if row.revoked_at is not None:
        raise ConfigError(f"token {name!r} is revoked already")
    row.revoked_at = now(session)
    audit.record(session, who, "token revoked", f"token {name}")


def tokens(session: Session) -> Sequence[Token]:
    """Return every token, by name."""
    return tuple(_token(session, row) for row in session.scalars(sa.select(TokenRow).order_by(TokenRow.name)))


def token(session: Session, secret: str) -> Token | None:
    """Return the token of a text; None for an unknown or revoked one, and for one that has ended."""
    row = session.get(TokenRow, _digest(secret))
    found = None if row is None else _token(session, row)
    return found if found is not None and found.state == "valid" else None


def needs_use(session: Session, token: Token) -> bool:
    """Say whether the last use of a token is old enough to be written again."""
    return token.used_at is None or token.used_at < now(session) - SEEN_GAP_S


def token_used(session: Session, name: str) -> None:
    """Note that a token was used now."""
    session.execute(sa.update(TokenRow).where(TokenRow.name == name).values(used_at=now(session)))


def _row(session: Session, name: str) -> AccountRow:
    row = session.get(AccountRow, name)
    if row is None:
        raise ConfigError(f"there is no account {name!r}")
    return row


def _local_row(session: Session, name: str) -> AccountRow:
    row = _row(session, name)
    if row.subject is not None:
        raise ConfigError(f"account {name!r} signs in by the identity provider, which knows its password and role")
    return row


def _require_administrator(session: Session) -> None:
    session.flush()
    left = sa.exists().where(AccountRow.role == Role.ADMINISTRATOR, AccountRow.disabled_at.is_(None))
    if not session.scalar(sa.select(left)):
        raise ConfigError("the last administrator must stay one: nobody could change anything any more")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # random and long: a fast digest is enough


def _account(row: AccountRow) -> Account:
    return Account(row.name, Role(row.role), row.created_at, row.disabled_at is not None, row.subject is None)


def _token(session: Session, row: TokenRow) -> Token:
    return Token(
        row.name,
        Role(row.role),
        row.made_by,
        row.created_at,
        row.used_at,
        row.revoked_at is not None,
        row.ends_at,
        row.ends_at is not None and row.ends_at <= now(session),
    )
