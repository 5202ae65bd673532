"""One request to a page: who asks, and the shortest way to database and templates.

A view takes `visit: Visiting` and returns `visit.page("noun.html", ...)` or, after a change, `visit.go("/noun")`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Form, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from dicom_ai.app import App
from dicom_ai.domain.account import Account, Role
from dicom_ai.storage import accounts, audit
from dicom_ai.storage.database import Database
from dicom_ai.web.attempts import Attempts
from dicom_ai.web.provider import Provider
from dicom_ai.web.rendering import Pages

COOKIE = "dicom_ai_session"
NOTICE = "done"
"""Query key of the sentence that a page shows after a change."""


class SignInNeeded(Exception):
    """Nobody is signed in. path: where they wanted to go."""

    def __init__(self, path: str) -> None:
        self.path = path


@dataclass(frozen=True, slots=True)
class Site:
    """What every request shares."""

    app: App
    pages: Pages
    attempts: Attempts
    provider: Provider | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. account: who asks; None before log-in. csrf: what the forms of the page must carry."""

    request: Request
    site: Site
    account: Account | None
    csrf: str = ""

    @property
    def app(self) -> App:
        """The node."""
        return self.site.app

    @property
    def database(self) -> Database:
        """The node's database."""
        return self.site.app.database

    @property
    def who(self) -> str:
        """The name of who asks, for the audit trail."""
        return self.account.name if self.account else ""

    @property
    def is_refresh(self) -> bool:
        """Whether a live part of a page asks, not a person."""
        return "hx-request" in self.request.headers

    def may(self, role: Role) -> bool:
        """Say whether who asks has a role."""
        return self.account is not None and self.account.role.may(role)

    def viewed(self, subject: str) -> None:
        """Note in the audit trail that a person looked at a patient; a live part's refresh is no new look."""
        if not self.is_refresh:
            with self.database.write() as session:
                audit.record(session, self.who, "viewed", subject)

    def viewed_many(self, study_uids: Sequence[str]) -> None:
        """Note that a person looked at a list of studies; one line of the trail for the whole list."""
        if study_uids and not self.is_refresh:
            with self.database.write() as session:
                audit.record(session, self.who, "viewed", "list of studies", {"studies": " ".join(study_uids)})

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page."""
        common = {
            "account": self.account,
            "csrf": self.csrf,
            "may": self.may,
            "Role": Role,
            "path": self.request.url.path,
            "here": self.here(),
            "notice": self.request.query_params.get(NOTICE, ""),
            "provider": self.site.provider.wanted.words if self.site.provider else "",
        }
        return HTMLResponse(self.site.pages.render(template, common | values), status_code=status)

    def here(self, **changes: str | int) -> str:
        """Return this page's own address, with some of its query changed."""
        query = {key: value for key, value in self.request.query_params.items() if key != NOTICE}
        query |= {key: str(value) for key, value in changes.items()}
        return self.request.url.path + (f"?{urlencode(query)}" if query else "")

    def go(self, path: str, *, notice: str = "") -> RedirectResponse:
        """Return the answer to a change: the page to show next, and a sentence that says what was done."""
        glue = "&" if "?" in path else "?"
        return RedirectResponse(f"{path}{glue}{NOTICE}={quote(notice)}" if notice else path, status_code=303)


def visit_of(request: Request) -> Visit:
    """Return the visit of a request; its account is None where nobody is signed in."""
    site: Site = request.app.state.site
    secret = request.cookies.get(COOKIE, "")
    if not secret:
        return Visit(request, site, None)
    database, idle_s = site.app.database, site.app.settings.web.idle_min * 60
    with database.read() as session:
        found = accounts.signed_in(session, secret, idle_s=idle_s)
        late = found is not None and accounts.needs_sight(session, secret)
    if found is None:
        return Visit(request, site, None)
    visit = Visit(request, site, found.account, found.csrf)
    if late and not visit.is_refresh:
        with database.write() as session:
            accounts.seen(session, secret)
    return visit


Visiting = Annotated[Visit, Depends(visit_of)]


def needs(role: Role) -> Callable[[Visit], None]:
    """Return what refuses a request from somebody without a role."""

    def check(visit: Visiting) -> None:
        if visit.account is None:
            raise SignInNeeded(visit.here())
        if not visit.may(role):
            raise HTTPException(403, f"This needs the role {role.value}; yours is {visit.account.role.value}.")

    return check


def own_form(visit: Visiting, csrf: Annotated[str, Form()] = "", x_csrf_token: Annotated[str, Header()] = "") -> None:
    """Refuse a change whose form was not made for this session."""
    if visit.account is None or visit.csrf not in (csrf, x_csrf_token):
        raise HTTPException(403, "The form is from another session: load the page again.")


async def text_form(request: Request) -> None:
    """Refuse a form with a NUL, which no text of a database may hold."""
    form = await request.form()
    if any("\x00" in text for item in form.multi_items() for text in item if isinstance(text, str)):
        raise HTTPException(400, "The form holds a character that no text may hold (NUL).")


def to_sign_in(request: Request, error: Exception) -> Response:
    """Answer a request of nobody: show the log-in, then what was wanted."""
    wanted = error.path if isinstance(error, SignInNeeded) else "/"
    target = f"/login?next={quote(wanted)}" if request.method == "GET" and wanted != "/" else "/login"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, status_code=303)
