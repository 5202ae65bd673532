"""Signing in by the site's identity provider: OpenID Connect by authorization code, with PKCE (RFC 7636).

The provider is asked for its addresses and keys when somebody signs in, and again after an hour. What it says counts
only where it is signed with its key, names it and this node, is of now, and answers the very try of this browser.
"""

import json
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from dicom_ai.dimse.tls import client_context
from dicom_ai.domain.account import Role
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.sections import OidcSettings, is_safe

try:
    import jwt
except ImportError:  # the extra "server" brings it
    jwt = None  # type: ignore[assignment]

BACK = "/login/provider/back"
"""Where the provider sends a browser back to: the address to allow there, below that of the pages."""

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that only the provider has; never "none", never one by a secret that both know."""

TRY_S = 600.0
"""How long somebody may take at the provider."""

KNOWN_S = 3600.0
ANSWER_S = 10.0
LEEWAY_S = 60.0
LARGEST_BYTES = 1_000_000
LONGEST_NAME = 64
MOST_TRIES = 10_000

Json = dict[str, Any]


class SignInRefused(Exception):
    """Somebody does not get in. Its text may be shown; it holds nothing that the provider or the browser sent."""


class NoSuchTry(SignInRefused):
    """A browser comes back that was not sent, or was sent too long ago."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for. subject: its name and what it knows them by, which stays when a name changes."""

    subject: str
    name: str
    role: Role
    path: str


@dataclass(frozen=True, slots=True)
class Try:
    """A browser on its way. path: the page it wanted."""

    browser: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    path: str
    until: float


class Provider:
    """The site's identity provider, as the settings have it. Raises ConfigError where it cannot be used."""

    def __init__(self, wanted: OidcSettings, *, clock: Callable[[], float] = time.time) -> None:
        if jwt is None:
            raise ConfigError("[oidc] needs the extra server: pip install 'dicom-ai[server]'")
        self.wanted = wanted
        self._clock = clock
        self._opener = build_opener(
            _NoRedirects(), HTTPSHandler(context=client_context(authorities=wanted.authorities))
        )
        self._tries: dict[str, Try] = {}
        self._lock = threading.Lock()
        self._known: tuple[float, Json, Json] | None = None

    def begin(self, path: str) -> tuple[str, str]:
        """Return the provider's address to send a browser to, and what the browser must show when it comes back."""
        addresses, _ = self._facts()
        state, browser, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(4))
        with self._lock:
            at = self._clock()
            self._tries = {key: one for key, one in self._tries.items() if one.until > at}
            while len(self._tries) >= MOST_TRIES:
                del self._tries[next(iter(self._tries))]
            self._tries[state] = Try(browser, nonce, verifier, path, at + TRY_S)
        query = {
            "response_type": "code",
            "client_id": self.wanted.client_id,
            "redirect_uri": self._back,
            "scope": " ".join(dict.fromkeys(("openid", *self.wanted.scopes))),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        glue = "&" if urlsplit(addresses["authorization_endpoint"]).query else "?"
        return f"{addresses['authorization_endpoint']}{glue}{urlencode(query)}", browser

    def end(self, browser: str, answer: Mapping[str, str]) -> Person:
        """Return who came back. Raises SignInRefused, or Unavailable where the provider does not answer."""
        with self._lock:
            tried = self._tries.pop(answer.get("state", ""), None)
        if tried is None or tried.until <= self._clock() or not secrets.compare_digest(tried.browser, browser):
            raise NoSuchTry("This try to log in is over, or began in another browser. Try again.")
        if answer.get("iss", self.wanted.issuer) != self.wanted.issuer:  # RFC 9207
            raise SignInRefused("Another identity provider has answered.")
        if "code" not in answer:
            raise SignInRefused("The identity provider has not logged you in.")
        tokens = self._tokens(answer["code"], tried.verifier)
        claims = self._claims(str(tokens.get("id_token", "")), tried.nonce)
        claims = self._completed(claims, str(tokens.get("access_token", "")))
        return Person(f"{self.wanted.issuer} {claims['sub']}", self._name(claims), self._role(claims), tried.path)

    @property
    def _back(self) -> str:
        return self.wanted.address.rstrip("/") + BACK

    def _tokens(self, code: str, verifier: str) -> Json:
        addresses, _ = self._facts()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "client_id": self.wanted.client_id,
            "code_verifier": verifier,
        }
        if self.wanted.client_secret:
            form["client_secret"] = self.wanted.client_secret
        return self._asked(Request(addresses["token_endpoint"], urlencode(form).encode()))

    def _claims(self, token: str, nonce: str) -> Json:
        """Return what a token says, once everything about it is right. Raises SignInRefused."""
        try:
            key = self._key(jwt.get_unverified_header(token).get("kid"))
            claims: Json = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self.wanted.client_id,
                issuer=self.wanted.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise SignInRefused("What the identity provider says does not hold.") from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", self.wanted.client_id if not several else None) != self.wanted.client_id:
            raise SignInRefused("What the identity provider says is meant for another.")
        if not secrets.compare_digest(str(claims.get("nonce", "")), nonce):
            raise SignInRefused("What the identity provider says answers another try to log in.")
        return claims

    def _completed(self, claims: Json, access_token: str) -> Json:
        """Return the claims, with those that the provider tells only when it is asked for them."""
        missing = [name for name in (self.wanted.name_claim, self.wanted.role_claim) if claim_of(claims, name) is None]
        address = self._facts()[0].get("userinfo_endpoint")
        if not missing or not address or not access_token:
            return claims
        more = self._asked(Request(address, headers={"Authorization": f"Bearer {access_token}"}))
        if more.get("sub") != claims["sub"]:
            raise SignInRefused("The identity provider speaks of somebody else.")
        return more | claims

    def _name(self, claims: Json) -> str:
        name = claim_of(claims, self.wanted.name_claim)
        text = name.strip() if isinstance(name, str) else ""
        if not text or len(text) > LONGEST_NAME or not text.isprintable():
            raise SignInRefused(f"The identity provider gives no name ({self.wanted.name_claim}) that can be used.")
        return text

    def _role(self, claims: Json) -> Role:
        """Return the highest role that the claim's values stand for."""
        found = claim_of(claims, self.wanted.role_claim)
        values = {found} if isinstance(found, str) else {item for item in _list(found) if isinstance(item, str)}
        for role, meant in reversed(list(self.wanted.roles.items())):
            if values & set(meant):
                return Role(role)
        raise SignInRefused("The identity provider knows you, but gives you no role on this node.")

    def _key(self, name: str | None) -> Any:
        """Return a key of the provider; one that is not known may be newer than what is known."""
        for fresh in (False, True):
            found = [key for key in self._facts(fresh=fresh)[1].get("keys", ()) if name in (None, key.get("kid"))]
            signing = [key for key in found if key.get("use", "sig") == "sig"]
            if len(signing) == 1:
                return jwt.PyJWK(signing[0]).key
        raise SignInRefused("What the identity provider says is signed with a key that is not its own.")

    def _facts(self, *, fresh: bool = False) -> tuple[Json, Json]:
        """Return the provider's addresses and its keys."""
        known = self._known
        if known is not None and not fresh and self._clock() < known[0] + KNOWN_S:
            return known[1], known[2]
        addresses = self._asked(Request(self.wanted.issuer.rstrip("/") + "/.well-known/openid-configuration"))
        if addresses.get("issuer") != self.wanted.issuer:
            raise Unavailable("the identity provider calls itself otherwise than oidc.issuer does")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_safe(str(addresses.get(name, ""))):
                raise Unavailable(f"the identity provider names no {name} by HTTPS")
        keys = self._asked(Request(addresses["jwks_uri"]))
        self._known = (self._clock(), addresses, keys)
        return addresses, keys

    def _asked(self, request: Request) -> Json:
        """Return the JSON that answers. Raises SignInRefused where a code is refused, Unavailable for anything else."""
        try:
            with self._opener.open(request, timeout=ANSWER_S) as answer:
                content = json.loads(answer.read(LARGEST_BYTES))
        except HTTPError as error:
            error.close()
            if error.code in (400, 401) and request.data is not None:
                raise SignInRefused("The identity provider does not know this try to log in.") from error
            raise Unavailable(f"the identity provider answers {error.code}") from error
        except (OSError, ValueError) as error:
            raise Unavailable("the identity provider does not answer as one") from error
        if not isinstance(content, dict):
            raise Unavailable("the identity provider does not answer as one")
        return content


def provider_of(wanted: OidcSettings) -> Provider | None:
    """Return the provider of the settings; None where none is set."""
    return Provider(wanted) if wanted.issuer else None


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by the way through objects ("realm_access.roles"); None where it is absent."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


class _NoRedirects(HTTPRedirectHandler):
    """Answers come from where they are asked, or not at all."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Follow nothing."""
        return None
