"""Version 1 of the API. To add a call: a function in the module of its noun, named in that module's CALLS."""

from collections.abc import Mapping
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from dicom_ai import __version__
from dicom_ai.app import App
from dicom_ai.errors import ConfigError, DicomAiError, RejectedInput, Unavailable
from dicom_ai.web.api import neighbours, people, rules, studies, work
from dicom_ai.web.api.access import needs

CALLS = (*studies.CALLS, *work.CALLS, *rules.CALLS, *neighbours.CALLS, *people.CALLS)
"""Every call of version 1."""

_STATUS: Mapping[type[DicomAiError], int] = {ConfigError: 422, RejectedInput: 422, Unavailable: 503}

_ANSWERS: Mapping[int | str, dict[str, Any]] = {
    401: {"description": "No valid token"},
    403: {"description": "The token's role does not suffice"},
    404: {"description": "The node has no such thing"},
    422: {"description": "The request is malformed, or what it asks for cannot be done"},
}


def create(app: App) -> FastAPI:
    """Return the API of a node; its description is at /openapi.json below it."""
    api = FastAPI(title="dicom-ai", version=__version__, docs_url=None, redoc_url=None)
    api.state.node = app
    for item in CALLS:
        api.add_api_route(
            item.path,
            item.view,
            methods=[item.method],
            dependencies=[Depends(needs(item.role))],
            responses=dict(_ANSWERS),
            response_model=None,
        )
    api.add_exception_handler(DicomAiError, _refused)
    return api


def _refused(_request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"detail": str(error)}, status_code=status)
