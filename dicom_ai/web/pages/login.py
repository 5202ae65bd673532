"""Signing in and out."""

import secrets
from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from dicom_ai.storage import accounts, audit
from dicom_ai.web import passwords
from dicom_ai.web.visit import COOKIE, Visit, Visiting


def show(visit: Visiting, next: str = "/") -> Response:
    """Show the form; on a node without accounts, what comes before it."""
    with visit.database.read() as session:
        if not accounts.exist(session):
            return visit.go("/first-start")
    return visit.page("login.html", next=inside(next), name="", problem="")


def sign_in(
    visit: Visiting, name: Annotated[str, Form()], password: Annotated[str, Form()], next: Annotated[str, Form()] = "/"
) -> Response:
    """Check name and password, and begin a session."""
    who = f"{visit.request.client.host if visit.request.client else ''} {name}"
    wait_s = visit.site.attempts.wait_s(who)
    if wait_s:
        return _again(visit, name, next, f"Too many failures: wait {wait_s:.0f} s.", status=429)
    with visit.database.read() as session:
        known = accounts.password_hash(session, name)
    if not passwords.fits(password, known):
        visit.site.attempts.failed(who)
        if known is not None:  # a name that nobody has may be a password typed into the wrong field
            with visit.database.write() as session:
                audit.record(session, name, "log-in failed", f"account {name}")
        return _again(visit, name, next, "Name or password is wrong.", status=401)
    visit.site.attempts.succeeded(who)
    return begin(visit, name, inside(next))


def sign_out(visit: Visiting) -> Response:
    """End the session."""
    with visit.database.write() as session:
        accounts.sign_out(session, visit.request.cookies[COOKIE])
        audit.record(session, visit.who, "signed out", f"account {visit.who}")
    answer = visit.go("/login")
    answer.delete_cookie(COOKIE)
    return answer


def begin(visit: Visit, name: str, path: str) -> Response:
    """Begin a session of an account, and show a page."""
    return remember(visit, name, visit.go(path))


def remember(visit: Visit, name: str, answer: Response) -> Response:
    """Begin a session of an account, in a cookie of an answer that no script reads and no other site sends."""
    secret = secrets.token_urlsafe(32)
    web = visit.app.settings.web
    with visit.database.write() as session:
        accounts.forget_idle(session, idle_s=web.idle_min * 60)
        accounts.sign_in(session, name, secret=secret)
    answer.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=web.is_https, path="/")
    return answer


def _again(visit: Visit, name: str, next: str, problem: str, *, status: int) -> Response:
    return visit.page("login.html", status=status, next=inside(next), name=name, problem=problem)


def inside(path: str) -> str:
    """Return a path of this site; the overview for anything else, so that no link can lead elsewhere."""
    is_path = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_path and "\\" not in path else "/"
