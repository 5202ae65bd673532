"""How a person learns of alarms: e-mail, webhook, syslog. To add one: write a class with tell(), and name it in app.py.

A message names conditions, counts, and names out of settings and rules; there is nothing of a patient in an Alarm.
"""

import json
import smtplib
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Protocol

from dicom_ai import syslog
from dicom_ai.alarms.conditions import runbook
from dicom_ai.dimse.tls import client_context
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.storage.alarms import Alarm, Level
from dicom_ai.syslog import Facility, Severity

TIMEOUT_S = 15.0
SEVERITIES = {Level.WARNING: Severity.WARNING, Level.SERIOUS: Severity.ERROR, Level.CRITICAL: Severity.CRITICAL}


class Channel(Protocol):
    """A way to tell."""

    def tell(self, node: str, alarms: Sequence[Alarm]) -> None:
        """Tell of alarms, some of which may be over. Raises Unavailable or ConfigError where it could not be done."""


@dataclass(frozen=True, slots=True)
class Email:
    """E-mail by SMTP. security: starttls, tls or none; the server's certificate is always checked."""

    host: str
    port: int
    security: str
    user: str
    password: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]

    def tell(self, node: str, alarms: Sequence[Alarm]) -> None:
        """Send one e-mail about all of them."""
        message = EmailMessage()
        message["Subject"] = f"[dicom-ai] {node}: {headline(alarms)}"
        message["From"], message["To"] = self.sender, ", ".join(self.recipients)
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="dicom-ai.invalid")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body(node, alarms))
        try:
            with self._connected() as server:
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            code = getattr(error, "smtp_code", "")
            raise Unavailable(f"e-mail by {self.host}:{self.port}: {type(error).__name__} {code}".strip()) from error

    def _connected(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=client_context())
        with ExitStack() as unless_it_works:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
            unless_it_works.callback(server.close)
            if self.security == "starttls":
                server.starttls(context=client_context())
            unless_it_works.pop_all()
        return server


@dataclass(frozen=True, slots=True)
class Webhook:
    """A POST of JSON, which chat programs that read "text" take as it is. authorization: the header's value."""

    url: str
    authorization: str = field(repr=False, default="")

    def tell(self, node: str, alarms: Sequence[Alarm]) -> None:
        """Post all of them at once."""
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError("webhook: url is neither http nor https")
        content = {"node": node, "text": f"{node}: {body(node, alarms)}", "alarms": [as_json(one) for one in alarms]}
        headers = {"Content-Type": "application/json", "User-Agent": "dicom-ai"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        request = urllib.request.Request(self.url, data=json.dumps(content).encode(), headers=headers)
        try:
            urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise Unavailable(f"webhook: HTTP {error.code}") from error
        except OSError as error:
            raise Unavailable(f"webhook: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Syslog:
    """One message per alarm, facility daemon."""

    server: syslog.Server

    def tell(self, node: str, alarms: Sequence[Alarm]) -> None:
        """Send one message each."""
        syslog.send([_message(node, alarm) for alarm in alarms], self.server)


def headline(alarms: Sequence[Alarm]) -> str:
    """Return alarms in a few words, the first of them in full."""
    more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
    return f"{_word(alarms[0])}: {alarms[0].text}{more}"


def body(node: str, alarms: Sequence[Alarm]) -> str:
    """Return alarms in plain text, each with its page of the runbook and how to acknowledge it."""
    lines: list[str] = []
    for alarm in alarms:
        lines += [f"{_word(alarm).upper()}  {alarm.text}", f"  since {_when(alarm.opened_at)}"]
        if alarm.closed_at is None:
            lines += [
                f"  what to do: {runbook(alarm.condition)}",
                f"  to stop repeating it: dicom-ai alarms acknowledge {_quoted(alarm.name)}",
            ]
        else:
            lines.append(f"  over since {_when(alarm.closed_at)}")
        lines.append("")
    return "\n".join([*lines, f"{node}; dicom-ai alarms lists what is so now."])


def as_json(alarm: Alarm) -> dict[str, Any]:
    """Return an alarm for machines."""
    return {
        "name": alarm.name,
        "condition": alarm.condition,
        "subject": alarm.subject,
        "level": alarm.level.name.lower(),
        "text": alarm.text,
        "since": _when(alarm.opened_at),
        "over": None if alarm.closed_at is None else _when(alarm.closed_at),
        "runbook": runbook(alarm.condition),
        "acknowledged_by": alarm.acknowledged_by or None,
    }


def _message(node: str, alarm: Alarm) -> syslog.Message:
    over = alarm.closed_at is not None
    severity = Severity.NOTICE if over else SEVERITIES[alarm.level]
    text = f"{node}: {_word(alarm)} {alarm.name}: {alarm.text}; {runbook(alarm.condition)}"
    return syslog.Message(Facility.DAEMON, severity, alarm.condition, text, alarm.closed_at or alarm.opened_at)


def _word(alarm: Alarm) -> str:
    return "over" if alarm.closed_at is not None else alarm.level.name.lower()


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
