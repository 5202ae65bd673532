"""Templates: Jinja2 with everything escaped, times in the site's zone, and the words that pages share."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dicom_ai import __version__
from dicom_ai.domain.account import Role
from dicom_ai.errors import ConfigError

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation, and who sees it."""

    path: str
    text: str
    role: Role = Role.VIEWER


NAVIGATION = (
    Link("/", "Overview"),
    Link("/studies", "Studies"),
    Link("/queue", "Queue"),
    Link("/rules", "Rules"),
    Link("/destinations", "Destinations"),
    Link("/peers", "Peers"),
    Link("/models", "Models"),
    Link("/judgements", "Judgements"),
    Link("/accounts", "Accounts", Role.ADMINISTRATOR),
    Link("/tokens", "Tokens", Role.ADMINISTRATOR),
    Link("/audit", "Audit", Role.ADMINISTRATOR),
)
"""In the order of the bar at the top."""

TONES: Mapping[str, str] = {
    "queued": "waiting",
    "waiting": "waiting",
    "collecting": "waiting",
    "receiving": "waiting",
    "sending": "busy",
    "running": "busy",
    "analysing": "busy",
    "reporting": "busy",
    "unknown": "waiting",
    "done": "good",
    "sent": "good",
    "confirmed": "good",
    "reported": "good",
    "accepted": "good",
    "taken": "good",
    "failed": "bad",
    "refused": "bad",
    "rejected": "bad",
    "held": "warn",
    "paused": "warn",
    "corrected": "warn",
    "on": "good",
    "off": "quiet",
    "enabled": "good",
    "disabled": "quiet",
    "shadow": "quiet",
    "superseded": "quiet",
    "cancelled": "quiet",
    "replaced": "quiet",
    "not taken": "quiet",
    "failing": "bad",
    "reached": "good",
    "warn": "warn",
    "unwanted": "quiet",
    "takes it": "good",
    "right": "good",
    "wrong": "bad",
    "not tried": "quiet",
    "valid": "good",
    "ended": "quiet",
    "revoked": "quiet",
}
"""A state in words -> how it looks; the word always stands beside the colour."""


class Pages:
    """Fills templates. zone: the site's time zone, as a name ("Europe/Berlin"); empty: the machine's."""

    def __init__(self, zone: str = "") -> None:
        self.zone = zone_of(zone)
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            when=self.when,
            day=self.day,
            span=span,
            amount=amount,
            segment=segment,
            size=size,
            dashed=dashed,
            person=person,
            numeric=numeric,
        )
        self._environment.globals.update(navigation=NAVIGATION, tones=TONES, version=__version__)

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a filled template."""
        return self._environment.get_template(template).render(values)

    def when(self, at: float | None) -> Markup:
        """Return a time of day in the site's zone, as an element that also says it in UTC; a dash for none."""
        if at is None:
            return Markup("–")
        moment = datetime.fromtimestamp(at, UTC)
        shown = moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")
        return Markup('<time datetime="{}">{}</time>').format(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), shown)

    def day(self, at: float | None) -> str:
        """Return the date in the site's zone; a dash for none."""
        return "–" if at is None else datetime.fromtimestamp(at, self.zone).strftime("%Y-%m-%d")


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone; None, the machine's, for "". Raises ConfigError for one that is not known."""
    if not name:
        return datetime.now().astimezone().tzinfo
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"web.time_zone: there is no zone {name!r}") from error


def span(seconds: float | None) -> str:
    """Return a length of time in its two largest units: "3 min 20 s"; a dash for none."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, whole = divmod(whole, length)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])


def amount(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 study", "3 studies"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}".replace(",", " ")


def segment(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def size(number: float) -> str:
    """Return a number of bytes in its unit: "3.4 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(number) < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def numeric(heading: str) -> str:
    """Return the heading of a column of numbers, as ui.table marks it."""
    return f"#{heading}"


def dashed(date: str) -> str:
    """Return a date that DICOM writes as 20260131 with hyphens; anything else as it is."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date


def person(name: str) -> str:
    """Return a name of DICOM as people write it: family name, comma, the rest; its first spelling that is not empty."""
    first = next((spelling for spelling in name.split("=") if spelling.strip("^ ")), "")
    family, *given = (part.strip() for part in first.split("^"))
    rest = " ".join(part for part in given if part)
    return ", ".join(part for part in (family, rest) if part)
