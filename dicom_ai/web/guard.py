"""What guards every answer and every request that changes something, whatever page it is for."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Sent with every answer: nothing from elsewhere is loaded, and no page of ours is shown inside another's."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_BODY_BYTES = 4_000_000
"""A form or an API call is no image: more is refused before it is read."""


class Guard:
    """Adds the headers; refuses changes asked for by another site, and bodies that are too large."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")  # pages name patients
            await send(message)

        refusal = _refusal(scope["method"], Headers(scope=scope)) or _nul(scope)
        await (refusal or self._application)(scope, receive, send_guarded)


def _refusal(method: str, headers: Headers) -> PlainTextResponse | None:
    if method not in READING and _is_foreign(headers):
        return PlainTextResponse("refused: the request comes from another site", status_code=403)
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MOST_BODY_BYTES or "transfer-encoding" in headers:
        return PlainTextResponse("refused: the request is too large, or does not say how large", status_code=413)
    return None


def _nul(scope: Scope) -> PlainTextResponse | None:
    """Refuse an address with a NUL, which no text of a database may hold."""
    if "\x00" in scope["path"] or b"%00" in scope["query_string"] or b"\x00" in scope["query_string"]:
        return PlainTextResponse("refused: the address holds what no text may hold", status_code=400)
    return None


def _is_foreign(headers: Headers) -> bool:
    """Say whether a browser tells that another site sent the request; a program sends neither header."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
