"""Real archives for acceptance tests, on loopback and on free ports: Orthanc and dcmtk's dcmqrscp."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers import free_port, need_program

HERE = Path(__file__).resolve().parent
ORTHANC_AE_TITLE = "TESTPACS"
DCMTK_AE_TITLE = "QRPACS"

FORWARD = """
function OnStableSeries(series, tags, metadata)
  local m = tags['Modality']
  if m == 'MR' or m == 'DX' or m == 'CR' then
    RestApiPost('/modalities/node/store', DumpJson({ Resources = { series }, Synchronous = false }, true))
  end
end
"""
"""Orthanc sends every stable image series to the node, as a PACS auto-forwards."""


def wait_for(what: Callable[[], Any], *, timeout_s: float, named: str) -> Any:
    """Return the first true answer, asked four times a second; fail with the name after timeout_s."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.25)
    raise AssertionError(f"{named}: not within {timeout_s:.0f} s")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc. url: its REST interface."""

    url: str
    port: int
    folder: Path = field(repr=False)

    def get(self, path: str) -> Any:
        """Return the JSON answer of a GET."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, body: bytes) -> Any:
        """Return the JSON answer of a POST."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", data=body), timeout=60) as answer:
            return json.load(answer)

    def upload(self, files: Sequence[Path]) -> None:
        """Put files into the archive."""
        for path in files:
            self.post("/instances", path.read_bytes())

    def delete_everything(self) -> None:
        """Delete every patient, as somebody at the archive might."""
        for patient in self.get("/patients"):
            request = urllib.request.Request(f"{self.url}/patients/{patient}", method="DELETE")
            urllib.request.urlopen(request, timeout=30).close()

    def find(self, **tags: str) -> list[dict]:
        """Return the main tags of the instances that match, with their Orthanc id as "ID"."""
        query = json.dumps({"Level": "Instance", "Query": tags, "Expand": True}).encode()
        return self.post("/tools/find", query)

    def delete(self, instance: str) -> None:
        """Remove an instance."""
        request = urllib.request.Request(f"{self.url}/instances/{instance}", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()

    def file(self, instance: str) -> bytes:
        """Return the bytes of an instance."""
        with urllib.request.urlopen(f"{self.url}/instances/{instance}/file", timeout=60) as answer:
            return answer.read()


@contextmanager
def orthanc(
    folder: Path, *, node_port: int, node_ae_title: str = "DICOM_AI", forwards: bool = True, port: int = 0
) -> Iterator[Orthanc]:
    """Run Orthanc with DICOMweb, forwarding what it receives to the node if it is to. port: its own; 0: any."""
    program = need_program("Orthanc", package="orthanc orthanc-dicomweb")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "forward.lua").write_text(FORWARD, encoding="utf-8")
    http_port, port = free_port(), port or free_port()
    node = {"AET": node_ae_title, "Host": "127.0.0.1", "Port": node_port, "AllowStorageCommitment": True}
    settings = {
        "Name": ORTHANC_AE_TITLE,
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": ["/usr/share/orthanc/plugins/"],
        "LuaScripts": [str(folder / "forward.lua")] if forwards else [],
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": ORTHANC_AE_TITLE,
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": True,
        "StableAge": 1,
        "DicomModalities": {"node": node},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
        "DefaultEncoding": "Utf8",
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    archive = Orthanc(f"http://127.0.0.1:{http_port}", port, folder)
    with _running([program, str(folder / "orthanc.json")], folder):
        wait_for(lambda: _answers(archive), timeout_s=30, named="Orthanc's first answer")
        yield archive


@contextmanager
def dcmqrscp(folder: Path, *, node_port: int, node_ae_title: str = "DICOM_AI") -> Iterator[int]:
    """Run dcmtk's archive; yields its port. What it stores lies in folder/store."""
    program = need_program("dcmqrscp", package="dcmtk")
    store = folder / "store"
    store.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nnode = ({node_ae_title}, 127.0.0.1, {node_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{DCMTK_AE_TITLE} {store} RW (200, 1024mb) ANY\nAETable END\n",
        encoding="utf-8",
    )
    with _running([program, "-c", str(folder / "dcmqrscp.cfg")], folder):
        echo = [need_program("echoscu", package="dcmtk"), "-aec", DCMTK_AE_TITLE, "127.0.0.1", str(port)]
        wait_for(
            lambda: subprocess.run(echo, capture_output=True).returncode == 0, timeout_s=20, named="dcmqrscp's C-ECHO"
        )
        yield port


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[None]:
    """Run a server bound to loopback, its output in folder/log.txt, and end it afterwards."""
    environment = {**os.environ, "LD_PRELOAD": str(_loopback_library(folder)), "TCP_NODELAY": "1"}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _loopback_library(folder: Path) -> Path:
    compiler = need_program("gcc")
    library = folder / "loopback_bind.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "loopback_bind.c", "-ldl"], check=True)
    return library


def _answers(archive: Orthanc) -> bool:
    try:
        return bool(archive.get("/system"))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
