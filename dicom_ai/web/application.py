"""The web application: routes, guard, and what an error looks like."""

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from dicom_ai import __version__
from dicom_ai.app import App
from dicom_ai.errors import ConfigError, DicomAiError, RejectedInput, Unavailable
from dicom_ai.web import health, routes
from dicom_ai.web.api import v1
from dicom_ai.web.attempts import Attempts
from dicom_ai.web.guard import Guard
from dicom_ai.web.provider import provider_of
from dicom_ai.web.rendering import STATIC, Pages
from dicom_ai.web.visit import SignInNeeded, Site, Visit, to_sign_in, visit_of

log = structlog.get_logger()

STATUS: dict[type[DicomAiError], int] = {ConfigError: 422, RejectedInput: 422, Unavailable: 503}
"""Kind of error -> status of the answer; any other is 500."""


def create(app: App) -> FastAPI:
    """Return the application of a node."""
    web = FastAPI(title="dicom-ai", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    web.state.site = Site(app, Pages(app.settings.web.time_zone), Attempts(), provider_of(app.settings.oidc))
    web.mount("/static", StaticFiles(directory=STATIC), name="static")
    routes.add_to(web)
    health.add_to(web)
    web.mount("/api/v1", v1.create(app))
    web.add_middleware(Guard)
    web.add_exception_handler(SignInNeeded, to_sign_in)
    web.add_exception_handler(HTTPException, _refused)
    web.add_exception_handler(RequestValidationError, _malformed)
    web.add_exception_handler(DicomAiError, _failed)
    web.add_exception_handler(Exception, _unexpected)
    return web


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    usual = HTTPStatus(error.status_code).phrase
    return _error_page(request, error.status_code, error.detail if error.detail != usual else "")


def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    places = ", ".join(sorted({str(item["loc"][-1]) for item in error.errors()}))
    return _error_page(request, 422, f"The request is malformed: {places}.")


def _failed(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    return _error_page(request, status, str(error))


def _unexpected(request: Request, error: Exception) -> Response:
    # Never its text, which may quote a patient.
    log.error("unexpected error", path=_template_of(request), kind=type(error).__name__, exc_info=error)
    return _error_page(request, 500, "Something unexpected went wrong; the log says where.")


def _error_page(request: Request, status: int, message: str) -> Response:
    try:
        visit = visit_of(request)
    except Unavailable:
        visit = Visit(request, request.app.state.site, None)
    return visit.page("error.html", status=status, code=status, phrase=HTTPStatus(status).phrase, message=message)


def _template_of(request: Request) -> str:
    route = request.scope.get("route")
    return getattr(route, "path", "unknown")
