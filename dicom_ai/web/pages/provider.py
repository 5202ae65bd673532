"""Signing in by the site's identity provider: on the way there, and back."""

import structlog
from fastapi import HTTPException
from starlette.responses import Response

from dicom_ai.errors import ConfigError
from dicom_ai.storage import accounts, audit
from dicom_ai.web.pages.login import inside, remember
from dicom_ai.web.provider import TRY_S, NoSuchTry, Person, Provider, SignInRefused
from dicom_ai.web.visit import Visit, Visiting

COOKIE = "dicom_ai_provider"
WAY = "/login/provider"

log = structlog.get_logger()


def leave(visit: Visiting, next: str = "/") -> Response:
    """Send the browser to the provider."""
    address, browser = _provider(visit).begin(inside(next))
    answer = visit.go(address)
    # "lax": the browser comes back from another site, and must show it then.
    https = visit.app.settings.web.is_https
    answer.set_cookie(COOKIE, browser, max_age=int(TRY_S), httponly=True, samesite="lax", secure=https, path=WAY)
    return answer


def come_back(visit: Visiting) -> Response:
    """Begin a session of whom the provider vouches for."""
    try:
        person = _provider(visit).end(visit.request.cookies.get(COOKIE, ""), visit.request.query_params)
        name = _account(visit, person)
    except NoSuchTry as error:
        return _again(visit, str(error))  # anybody can make this up: it is no event for the trail
    except (SignInRefused, ConfigError) as error:
        with visit.database.write() as session:
            audit.record(session, accounts.PROVIDER, "log-in failed", accounts.PROVIDER, {"reason": str(error)})
        return _again(visit, str(error))
    # A page, not a redirect: a browser that follows one from another site would not show the new cookie.
    answer = remember(visit, name, visit.page("signed_in.html", target=person.path))
    answer.delete_cookie(COOKIE, path=WAY)
    return answer


def _provider(visit: Visit) -> Provider:
    if visit.site.provider is None:
        raise HTTPException(404)
    return visit.site.provider


def _account(visit: Visit, person: Person) -> str:
    with visit.database.write() as session:
        return accounts.from_provider(session, person.subject, person.name, person.role).name


def _again(visit: Visit, reason: str) -> Response:
    log.warning("log-in by the identity provider refused", reason=reason)
    return visit.page("login.html", status=403, next="/", name="", problem=reason)
