"""The hospital of the pictures: who works there, what it is connected to, who was examined. All of it is invented."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from zoneinfo import ZoneInfo

from dicom_ai import settings
from dicom_ai.domain.account import Role
from dicom_ai.domain.judgement import Verdict
from dicom_ai.routing.rule import Rule, parse_rules
from dicom_ai.routing.shipped import read_rules
from dicom_ai.sections import DestinationSettings, Peer

ZONE = ZoneInfo("Europe/Berlin")
NIGHT = datetime(2026, 3, 17, 3, 12, tzinfo=ZONE)
"""When the pictures are taken: a Tuesday, at ten past three."""

ADMINISTRATOR = "a.berger"
ACCOUNTS = (
    (ADMINISTRATOR, Role.ADMINISTRATOR),
    ("k.nowak", Role.OPERATOR),
    ("m.okoye", Role.OPERATOR),
    ("reading-room", Role.VIEWER),
)
LEFT = ("j.halvorsen", Role.OPERATOR)
"""Somebody who no longer works there."""

TOKENS = (("pacs-monitor", Role.OPERATOR, None), ("statistics", Role.VIEWER, datetime(2027, 1, 1, tzinfo=ZONE)))
WORKERS = {"spinal-cord": "CUDA:0", "spinal-cord-2": "CUDA:0", "spine-mr": "CUDA:0", "spine-xray": "CPU"}
HOST = "gpu-1"

PACS, RESEARCH, WORKSTATION = "pacs", "research", "neuro-workstation"


def _archive(name: str, host: str, ae_title: str, *outputs: str) -> DestinationSettings:
    parameters: dict[str, str | int | float | bool] = {"host": host, "port": 104, "called_ae_title": ae_title}
    parameters["check_identity"] = "required" if name == PACS else "off"
    return DestinationSettings(name=name, kind="c_store", parameters=parameters, outputs=outputs)  # type: ignore[arg-type]


DESTINATIONS = (
    _archive(PACS, "pacs.hospital.example", "PACS", "seg", "sr"),
    _archive(RESEARCH, "vna.research.example", "RESEARCH_VNA", "seg", "sr"),
)
ADDED = _archive(WORKSTATION, "ws-neuro.hospital.example", "NEURO_WS", "sr", "picture")
"""Added by the administrator on the page of the destinations."""

PEERS = (
    Peer(ae_title="PACS", addresses=("10.20.0.15",)),
    Peer(ae_title="MR1", addresses=("10.20.4.11",)),
    Peer(ae_title="MR2", addresses=("10.20.4.12",)),
    Peer(ae_title="DX3", addresses=("10.20.4.33",)),
)


def node_settings(folder: Path) -> settings.Settings:
    """Return the settings of the node, which keeps everything below a folder."""
    return settings.Settings(
        node=settings.Node(ae_title="DICOM_AI"),
        storage=settings.Storage(
            data_dir=folder / "data", database_url=f"sqlite:///{folder / 'node.db'}", reserve_bytes=0
        ),
        models=settings.Models(directory=folder / "models"),
        web=settings.Web(time_zone=ZONE.key, viewer_url="https://viewer.hospital.example/viewer"),
        peers=PEERS,
        destinations=DESTINATIONS,
    )


class Case(Enum):
    """What is special about an examination, and so how far it comes."""

    USUAL = auto()
    REAL = auto()  # the models themselves look at the phantom of a whole neck; all others are looked at by stand-ins
    EARLIER = auto()  # the same patient months ago, so that there is a report to compare with
    THIN = auto()  # the cord is thinner than any: held for a person
    TWO_PATIENTS = auto()  # of one study
    OTHER_THERE = auto()  # the archive knows the study of another patient
    BREAKS = auto()  # the process of the model ends over it
    REFUSED = auto()  # the workstation does not take its result
    RADIOGRAPH = auto()  # it is being analysed
    HEAD = auto()  # no rule takes it
    COMING = auto()  # images still come


@dataclass(frozen=True)
class Examination:
    """One study. radius_mm: of its cord. judged: what a person made of the result, with a reason and a level."""

    name: str
    number: int
    at: datetime
    station: str = "MR1"
    case: Case = Case.USUAL
    radius_mm: float = 4.85
    judged: tuple[Verdict, str, str] | None = None

    @property
    def patient_id(self) -> str:
        """Its patient's number in the hospital."""
        return f"{70_310_000 + 7919 * self.number % 89_000}"

    @property
    def accession(self) -> str:
        """The number of the order."""
        return f"R{self.at:%y%m%d}{self.number:03d}"

    @property
    def birth_date(self) -> str:
        """The patient's."""
        return f"{1938 + 7 * self.number % 63}{1 + self.number % 12:02d}{1 + 5 * self.number % 28:02d}"


_NAMES = (
    "Adeyemi^Tobias",
    "Baumann^Ines",
    "Castellano^Rita",
    "Dragović^Milan",
    "Eriksson^Nils",
    "Fournier^Odile",
    "Grabowski^Piotr",
    "Haddad^Samira",
    "Ivarsson^Greta",
    "Jansen^Willem",
    "Kovács^Réka",
    "Lehtonen^Aino",
    "Moretti^Dario",
    "Nakamura^Emi",
    "Oyelaran^Funke",
    "Petrov^Anton",
    "Quispe^Luz",
    "Rasmussen^Kaj",
    "Schäfer^Edda",
    "Tanaka^Ren",
)

_JUDGED = (
    (Verdict.ACCEPTED, "", ""),
    (Verdict.ACCEPTED, "", "C4"),
    (Verdict.CORRECTED, "the edge was redrawn at the osteophyte", "C4"),
    (Verdict.ACCEPTED, "", "C3"),
    (Verdict.REJECTED, "swallowing artefact", "C3"),
)


def fortnight() -> Iterator[Examination]:
    """Yield what came on the days before: what the charts, tables and comparisons are made of."""
    for number, name in enumerate(_NAMES):
        at = NIGHT - timedelta(days=13 - 12 * number / len(_NAMES), hours=13.2 + number % 5, minutes=7 * number % 60)
        judged = _JUDGED[number % len(_JUDGED)] if number % 4 else None
        station = "MR2" if number % 3 == 1 else "MR1"
        yield Examination(name, number, at, station, radius_mm=4.6 + 0.031 * (7 * number % 20), judged=judged)


def _at(hour: int, minute: int) -> datetime:
    day = NIGHT.date() - timedelta(days=hour > 12)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE)


def night() -> Iterator[Examination]:
    """Yield what came this evening and night, in order."""
    yield Examination("Lindqvist^Maja", 41, _at(19, 48), case=Case.REAL, judged=(Verdict.ACCEPTED, "", ""))
    yield Examination("Okafor^Daniel", 42, _at(20, 31), "MR2", radius_mm=4.92)
    yield Examination("Moreau^Claire", 43, _at(21, 17), case=Case.REFUSED, radius_mm=4.71)
    yield Examination("Weiss^Johanna", 44, _at(22, 5), case=Case.OTHER_THERE, radius_mm=5.02)
    yield Examination("Brandt^Sören", 45, _at(22, 52), "MR2", case=Case.BREAKS)
    yield Examination("Yıldız^Elif", 46, _at(23, 36), case=Case.TWO_PATIENTS)
    yield Examination("Nguyen^Minh", 47, _at(0, 24), "MR2", case=Case.HEAD)
    yield Examination("Svoboda^Jana", 48, _at(1, 9), case=Case.THIN, radius_mm=1.7)
    yield Examination("Silva^Teresa", 49, _at(2, 2), "MR2", radius_mm=4.78)
    yield Examination("Ferrari^Luca", 50, _at(2, 58), "DX3", case=Case.RADIOGRAPH)
    yield Examination("Kaya^Deniz", 51, _at(3, 11), case=Case.COMING)


EARLIER = Examination("Lindqvist^Maja", 41, datetime(2025, 10, 17, 10, 20, tzinfo=ZONE), case=Case.EARLIER)
RESEARCH_DOWN_SINCE = _at(1, 30)


def second_cord() -> Rule:
    """Return the rule that tries the second version of the cord model on the second scanner, in shadow."""
    first = read_rules().named("cord")
    table = first.as_toml() | {"name": "cord-2", "model": "spinal-cord-2", "priority": 15, "state": "shadow"}
    table["all"] = [*table["all"], {"keyword": "StationName", "equals": "MR2"}]
    table["description"] = "The second version of the cord model, on MR2 only."
    return parse_rules({"rule": [table]}).rules[0]


def everywhere(rule: Rule) -> Rule:
    """Return a rule that sends to every destination but those that want no masks of vertebrae."""
    to = (PACS, RESEARCH, WORKSTATION) if rule.name == "cord" else (PACS, RESEARCH)
    return replace(rule, destinations=to)


SHOWN = "Lindqvist"
"""Whose study and result are shown."""
