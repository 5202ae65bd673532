"""OHIF on loopback with an Orthanc behind it, one origin; and what a headless Chromium saw in it."""

import http.client
import json
import mimetypes
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dicom_ai.dicom.seg_reader import ShownSegment
from dicom_ai.domain.findings import Finding
from dicom_ai.measurements.table import MEASUREMENTS
from tests.peers import REPOSITORY, need_program

HERE = Path(__file__).resolve().parent
VIEWER = REPOSITORY / ".cache" / "viewer"
PROXIED = ("/dicom-web", "/wado")
NOT_FORWARDED = frozenset({"host", "connection", "accept-encoding"})
NOT_RETURNED = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


def need_viewer() -> Path:
    """Return the folder with OHIF and its driver, or skip (fail under CI=true) with how to get them."""
    if (VIEWER / ".fetched").exists():
        return VIEWER
    reason = "OHIF is not there: make viewer"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class _Handler(BaseHTTPRequestHandler):
    """Serves OHIF's files, falls back to its index page, and passes DICOMweb to the archive."""

    protocol_version = "HTTP/1.1"
    site: Path
    archive: str

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        self._pass_on()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(PROXIED):
            return self._pass_on()
        file = HERE / "ohif_config.js" if path == "/app-config.js" else (self.site / path.lstrip("/")).resolve()
        if path != "/app-config.js" and (self.site not in file.parents or not file.is_file()):
            file = self.site / "index.html"
        kind = "text/javascript" if file.suffix in {".js", ".mjs"} else mimetypes.guess_type(file.name)[0]
        self._answer(200, file.read_bytes(), {"Content-Type": kind or "application/octet-stream"})

    def _pass_on(self) -> None:
        upstream = urlsplit(self.archive)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_FORWARDED}
        # Without it Orthanc 1.7's DICOMweb plugin builds bulk data addresses without the port.
        headers |= {"Host": upstream.netloc, "Forwarded": f"host={self.headers['Host']};proto=http"}
        connection = http.client.HTTPConnection(upstream.netloc, timeout=60)
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in NOT_RETURNED}
        self._answer(answer.status, answer.read(), kept)
        connection.close()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        isolation = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
        for name, value in {**headers, **isolation, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def ohif(archive_url: str) -> Iterator[str]:
    """Serve OHIF for an archive's DICOMweb; yields its address."""
    site = need_viewer() / "ohif"
    handler = type("Handler", (_Handler,), {"site": site, "archive": archive_url})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


DESTROYED = "has been destroyed"
"""OHIF 3.13 says so of a viewport that it replaces by another, when a machine is so busy that the first is still drawn.

It is no error of what is shown in the end, which the tests compare with what was written; on a full machine it comes
again and again, so that looking once more does not help.
"""


def look(address: str, *, study: str, series: list[str], first: str, picture: Path, middle: bool = False) -> dict:
    """Open series of a study in headless Chromium and return what OHIF decoded; keep a screenshot.

    series: those to load; first: the one to show. middle: the screenshot is of the middle slice, where OHIF would show
    the first with a segment. The answer holds segmentations, measurements, text, page errors and
    the outside hosts that were asked.
    """
    node, chromium = need_program("node", package="nodejs"), need_program("chromium")
    request = {
        "url": f"{address}/viewer?StudyInstanceUIDs={study}&SeriesInstanceUIDs={','.join(series)}"
        f"&initialSeriesInstanceUID={first}",
        "chromium": chromium,
        "driver": str(need_viewer() / "node_modules" / "playwright-core" / "index.mjs"),
        "picture": str(picture),
        "middle": middle,
    }
    done = subprocess.run(
        [node, HERE / "ohif_look.mjs", json.dumps(request)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    return {**seen, "errors": [error for error in seen["errors"] if DESTROYED not in error]}


def drawn_numbers(finding: Finding) -> list[str]:
    """Return how OHIF writes the numbers of a finding: two decimals, the unit's code; of a value of 0 nothing."""
    rows = ((MEASUREMENTS[item.key], item.value) for item in finding.quantities)
    return [f"{row.displayed_name(finding.site)}: {value:.2f} {row.unit}" for row, value in rows if value]


def is_color(seen: Sequence[int], segment: ShownSegment, segments: Sequence[ShownSegment]) -> bool:
    """Whether a colour is that of a segment: near it, and nearest to it of all. OHIF converts CIELab in its own way."""
    away = {one.color: sum(abs(a - b) for a, b in zip(seen, one.color, strict=True)) for one in segments}
    return away[segment.color] == min(away.values()) <= 60
