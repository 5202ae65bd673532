"""What the node says of its parts; tests/integration/test_node.py has a node at work."""

import re
import socket
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_ai import node, settings
from dicom_ai.app import open_app
from dicom_ai.errors import ConfigError, Unavailable


def wanted(folder: Path, *, web_port: int = 0) -> settings.Settings:
    (folder / "models").mkdir()
    return settings.Settings(
        node=settings.Node(address="127.0.0.1", port=0),
        storage=settings.Storage(data_dir=folder / "data", reserve_bytes=0),
        models=settings.Models(directory=folder / "models", device="cpu", threads=1),
        web=settings.Web(port=web_port),
    )


def test_a_node_whose_page_port_is_taken_goes_without_pages_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as logs:
        made = node.Node(wanted(tmp_path, web_port=taken.getsockname()[1]), pages=True)
        made.app.close()

    (line,) = [line for line in logs if line["event"] == "no pages"]
    assert line["log_level"] == "error"
    assert "Address already in use" in line["reason"]
    assert "pages" not in made.description


def test_processes_that_run_apart_need_a_broker_between_them(tmp_path: Path) -> None:
    said = "workers.broker_url is memory://, which ends at this process: use serve, or set redis://..."

    with pytest.raises(ConfigError, match=f"^{re.escape(said)}$"):
        node.open_part(wanted(tmp_path))


def test_a_process_whose_part_has_ended_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "WATCH_S", 0.001)
    app = open_app(wanted(tmp_path))
    said = "a part of this process has ended on its own; it must be started again"

    with pytest.raises(Unavailable, match=f"^{said}$"):
        node.run_until(node.ClockPart(app), threading.Event())  # it does not tick: nobody has started it
    app.close()
