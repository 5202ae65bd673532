"""E-mail, webhook and syslog, each to a server on loopback."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dicom_ai import syslog
from dicom_ai.alarms import channels
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.storage.alarms import Alarm, Level
from tests.peers import free_port

DOWN = Alarm(1, "destination-down", "pacs", Level.SERIOUS, "destination pacs takes nothing", 0.0, None, None, "")
OVER = Alarm(2, "disk", "", Level.WARNING, "the disk is 76 % full", 0.0, 60.0, None, "")
NODE = "DICOM_AI@node"


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[misc]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Mailbox(socketserver.TCPServer):
    """An SMTP server that keeps what it is handed, or refuses every recipient."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.mails: list[str] = []
        self.refuse = refuse
        super().__init__(("127.0.0.1", 0), _SmtpHandler)


class _SmtpHandler(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self.server.mails.append(self._mail())
            if word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            refused = self.server.refuse and word == b"RCPT"
            self.wfile.write(b"550 no such user\r\n" if refused else b"250 ok\r\n")

    def _mail(self) -> str:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.decode())
        return "".join(lines)


class Hook(HTTPServer):
    """A web server that keeps what is posted."""

    def __init__(self, status: int = 200) -> None:
        self.posts: list[tuple[dict, str]] = []
        self.status = status
        super().__init__(("127.0.0.1", 0), _HookHandler)


class _HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((json.loads(body), self.headers.get("Authorization", "")))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def email(port: int, *, security: str = "none") -> channels.Email:
    return channels.Email(
        host="127.0.0.1",
        port=port,
        security=security,
        user="",
        password="",
        sender="node@hospital.example",
        recipients=("admin@hospital.example", "it@hospital.example"),
    )


def test_an_e_mail_says_what_is_wrong_what_to_do_and_what_is_over() -> None:
    mailbox = Mailbox()
    with serving(mailbox) as port:
        email(port).tell(NODE, [DOWN, OVER])

    mail = message_from_string(mailbox.mails[0], policy=policy.default)
    text = mail.get_content().replace("\r\n", "\n")
    assert mail["Subject"] == "[dicom-ai] DICOM_AI@node: serious: destination pacs takes nothing (and 1 more)"
    assert mail["To"] == "admin@hospital.example, it@hospital.example"
    assert "what to do: docs/runbook.md#destination-down" in text
    assert "  to stop repeating it: dicom-ai alarms acknowledge destination-down:pacs\n" in text
    assert text.endswith("DICOM_AI@node; dicom-ai alarms lists what is so now.\n")
    assert "OVER  the disk is 76 % full\n  since 1970-01-01T00:00:00Z\n  over since 1970-01-01T00:01:00Z" in text


def test_a_mail_server_that_refuses_or_speaks_no_tls_is_told_apart_from_one_that_takes_it() -> None:
    with serving(Mailbox(refuse=True)) as port, pytest.raises(Unavailable, match="SMTPRecipientsRefused"):
        email(port).tell(NODE, [DOWN])
    with serving(Mailbox()) as port, pytest.raises(Unavailable, match="SMTPNotSupportedError"):
        email(port, security="starttls").tell(NODE, [DOWN])
    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        email(free_port()).tell(NODE, [DOWN])


def test_a_webhook_gets_json_that_chat_programs_read_too() -> None:
    hook = Hook()
    with serving(hook) as port:
        channels.Webhook(f"http://127.0.0.1:{port}/hook", "Bearer x").tell(NODE, [DOWN])

    (content, authorization) = hook.posts[0]
    assert authorization == "Bearer x"
    assert content["text"].startswith("DICOM_AI@node: SERIOUS  destination pacs takes nothing")
    assert content["alarms"] == [
        {
            "name": "destination-down:pacs",
            "condition": "destination-down",
            "subject": "pacs",
            "level": "serious",
            "text": "destination pacs takes nothing",
            "since": "1970-01-01T00:00:00Z",
            "over": None,
            "runbook": "docs/runbook.md#destination-down",
            "acknowledged_by": None,
        }
    ]


def test_a_webhook_that_answers_with_an_error_was_not_told() -> None:
    with serving(Hook(503)) as port, pytest.raises(Unavailable, match="webhook: HTTP 503"):
        channels.Webhook(f"http://127.0.0.1:{port}/").tell(NODE, [DOWN])
    with pytest.raises(ConfigError, match=r"^webhook: url is neither http nor https$"):
        channels.Webhook("file:///etc/passwd").tell(NODE, [DOWN])


def test_syslog_gets_one_message_per_alarm_with_its_severity() -> None:
    kept: list[str] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            kept.append(self.request[0].decode("utf-8"))

    with serving(socketserver.UDPServer(("127.0.0.1", 0), Handler)) as port:
        channels.Syslog(syslog.Server(f"udp://127.0.0.1:{port}")).tell(NODE, [DOWN, OVER])
        while len(kept) < 2:
            threading.Event().wait(0.01)

    assert kept[0].startswith("<27>1 1970-01-01T00:00:00.000Z ")  # daemon (3) x 8 + error (3)
    assert kept[0].endswith(
        "serious destination-down:pacs: destination pacs takes nothing; docs/runbook.md#destination-down"
    )
    assert kept[1].startswith("<29>1 1970-01-01T00:01:00.000Z ")  # notice (5)
