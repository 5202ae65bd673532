"""Passwords: argon2id with the library's parameters (RFC 9106, low memory), and what makes one too weak."""

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from dicom_ai.errors import ConfigError

SHORTEST = 12
"""Characters of a password; length is what counts (NIST SP 800-63B 5.1.1)."""

_HASHER = PasswordHasher()
_NOBODY = _HASHER.hash("no account has this password")


def hashed(password: str) -> str:
    """Return the argon2 hash. Raises ConfigError for a password that is too short."""
    if len(password) < SHORTEST:
        raise ConfigError(f"the password has {len(password)} characters where at least {SHORTEST} are needed")
    return _HASHER.hash(password)


def fits(password: str, hash_text: str | None) -> bool:
    """Say whether a password is the one of a hash; an unknown account (None) takes as long to be refused."""
    try:
        return _HASHER.verify(hash_text or _NOBODY, password) and bool(hash_text)
    except VerificationError:
        return False
