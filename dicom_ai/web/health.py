"""For machines that watch the node: does it live, is it ready, and its numbers. None of it names a study."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.storage import schema
from dicom_ai.storage.disk import disk_of
from dicom_ai.web import metrics


def add_to(web: FastAPI) -> None:
    """Add /healthz, /readyz and /metrics."""
    web.state.durations = metrics.Durations()
    for path, view in (("/healthz", alive), ("/readyz", ready), ("/metrics", numbers)):
        web.add_api_route(path, view, methods=["GET"], response_class=Response, response_model=None)


def alive() -> Response:
    """Say that this process answers."""
    return JSONResponse({"alive": True})


def ready(request: Request) -> Response:
    """Say whether database and disk let the node work; 503 with the reason where they do not."""
    app = request.app.state.site.app
    try:
        schema.require_newest(app.database)
        warning = disk_of(app.files.root).warning(reserve_bytes=app.files.reserve_bytes)
        reason = warning if "refused" in warning else ""
    except (ConfigError, Unavailable, OSError) as error:
        reason = str(error)
    return JSONResponse({"ready": not reason, "reason": reason}, status_code=503 if reason else 200)


def numbers(request: Request) -> Response:
    """Return the numbers for Prometheus."""
    state = request.app.state
    found = metrics.text(state.site.app, state.durations)
    return Response(found, media_type="text/plain; version=0.0.4; charset=utf-8")
