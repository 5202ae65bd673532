"""Destinations and peers: those in force now, for every step, and the ways in which a person changes and tries them.

A change is checked, saved as a version (storage/neighbours.py), and taken up by every process within seconds, without a
restart. The command line, the pages and the API call the functions here.
"""

import socket
import threading
import time
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from dicom_ai.destinations import trials
from dicom_ai.destinations.trials import Said, TrialKind
from dicom_ai.destinations.wrong import refuse_wrong
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError, Unavailable
from dicom_ai.sections import DestinationSettings, Neighbours, Peer, complaint
from dicom_ai.storage import neighbours, traffic
from dicom_ai.storage.database import Database, Session
from dicom_ai.storage.neighbours import SECRET, StoredNeighbours

TAKEN_UP_S = 2.0
"""So long after a change every process works with it."""

Parameter = str | int | float | bool
Waiting = Literal["keep", "give-up"]
Model = TypeVar("Model", bound=BaseModel)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Home:
    """What the node itself adds. file: neighbours of the settings file. ports: those it listens on.

    archives: destination -> the setting that names it, so that it must stay. most_per_hour: cap of one without
    its own. usual: parameters of c_store that the settings of the node give.
    """

    file: Neighbours
    ports: frozenset[int] = frozenset()
    archives: Mapping[str, str] = field(default_factory=dict)
    most_per_hour: int = 0
    usual: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes something, and why. seen: the version they looked at; None where they looked at none (a script)."""

    who: str
    why: str = ""
    seen: int | None = None


class Live:
    """The neighbours in force, looked up again every few seconds; while the database is away, the last that were."""

    def __init__(self, database: Database, home: Home) -> None:
        self.home = home
        self.destinations: Mapping[str, Destination] = _Destinations(self)
        self._database = database
        self._lock = threading.Lock()
        self._stored: StoredNeighbours | None = None
        self._built: dict[str, Destination] = {}
        self._look_at = 0.0

    @property
    def now(self) -> StoredNeighbours:
        """The version in force."""
        if self._lock.acquire(blocking=self._stored is None):  # who comes meanwhile takes what was known
            try:
                if self._stored is None or time.monotonic() >= self._look_at:
                    self._take_up(self._looked_up())
                    self._look_at = time.monotonic() + TAKEN_UP_S
            finally:
                self._lock.release()
        assert self._stored is not None
        return self._stored

    @property
    def peers(self) -> Sequence[Peer]:
        """Who may connect."""
        return self.now.neighbours.peers

    @property
    def built(self) -> Mapping[str, Destination]:
        """The destinations by name, as of one moment."""
        self.now  # noqa: B018 - looks them up where it is time to
        return self._built

    def forget(self) -> None:
        """Look again at once: this process has just changed something."""
        self._look_at = 0.0

    def _looked_up(self) -> StoredNeighbours:
        try:
            return neighbours.look(self._database, self.home.file)
        except (Unavailable, ConfigError) as error:
            if self._stored is not None or isinstance(error, ConfigError):
                log.warning("destinations and peers stay as they were known", reason=str(error))
            return self._stored or neighbours.of_file(self.home.file)

    def _take_up(self, stored: StoredNeighbours) -> None:
        if stored is self._stored:
            return
        if self._stored is not None and stored.version != self._stored.version:
            log.info("destinations and peers were changed", version=stored.version, author=stored.author)
        self._built = {item.name: destination_of(self.home, item) for item in stored.neighbours.destinations}
        self._stored = stored


class _Destinations(Mapping[str, Destination]):
    """The destinations in force by name: what holds it sees every change."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def __getitem__(self, name: str) -> Destination:
        return self._live.built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._live.built)

    def __len__(self) -> int:
        return len(self._live.built)

    def items(self) -> ItemsView[str, Destination]:
        """Return names and destinations of one moment."""
        return self._live.built.items()


def destination_of(home: Home, item: DestinationSettings) -> Destination:
    """Return a destination as it is sent to; one by C-STORE takes the node's AE title and timeouts but its own."""
    return Destination(
        item.name,
        item.kind,
        {**home.usual, **item.parameters} if item.kind == "c_store" else item.parameters,
        most_per_hour=home.most_per_hour if item.most_per_hour is None else item.most_per_hour,
        outputs=frozenset(item.outputs),
        largest_mb=item.largest_mb,
    )


def destination_from(values: Mapping[str, Any]) -> DestinationSettings:
    """Return a destination from the values of a form or a call. Raises ConfigError that names what is wrong."""
    return _parsed(DestinationSettings, values)


def peer_from(values: Mapping[str, Any]) -> Peer:
    """Return a peer from the values of a form or a call. Raises ConfigError that names what is wrong."""
    return _parsed(Peer, values)


def add_destination(session: Session, home: Home, item: DestinationSettings, change: Change) -> StoredNeighbours:
    """Add a destination. Raises ConfigError where the name is taken, or it cannot be."""
    if _newest(session, home, change).destination(item.name) is not None:
        raise ConfigError(f"there is a destination {item.name!r} already")
    return _put_destination(session, home, item, change)


def change_destination(session: Session, home: Home, item: DestinationSettings, change: Change) -> StoredNeighbours:
    """Change the destination of that name. Raises ConfigError where there is none, or it cannot be as wanted."""
    _known_destination(_newest(session, home, change), item.name)
    return _put_destination(session, home, item, change)


def remove_destination(
    session: Session, home: Home, name: str, change: Change, *, waiting: Waiting | None = None
) -> StoredNeighbours:
    """Remove a destination. waiting: what becomes of results that wait for it.

    keep: they go when a destination of that name is there again. give-up: they are not sent. Raises ConfigError where
    results wait and nobody said, and for the archive that [completion] names.
    """
    before = _newest(session, home, change)
    _known_destination(before, name)
    number = traffic.waiting(session, name)
    if number and waiting is None:
        raise ConfigError(f"{number} results wait for {name}: say whether to keep them or to give them up")
    if waiting == "give-up":
        traffic.give_up(session, name, who=change.who, why=change.why)
    traffic.forget(session, name)
    rest = tuple(item for item in before.destinations if item.name != name)
    return _save(session, home, before.model_copy(update={"destinations": rest}), change)


def add_peer(session: Session, home: Home, peer: Peer, change: Change) -> StoredNeighbours:
    """Let a peer connect. Raises ConfigError where it may already, or an address cannot be."""
    before = _newest(session, home, change)
    if before.peer(peer.ae_title) is not None:
        raise ConfigError(f"there is a peer {peer.ae_title!r} already")
    return _save(session, home, before.model_copy(update={"peers": (*before.peers, _right(peer))}), change)


def change_peer(session: Session, home: Home, peer: Peer, change: Change) -> StoredNeighbours:
    """Change where the peer of that AE title may come from. Raises ConfigError where there is none."""
    before = _newest(session, home, change)
    _known_peer(before, peer.ae_title)
    changed = [_right(peer) if one.ae_title == peer.ae_title else one for one in before.each_peer]
    return _save(session, home, before.model_copy(update={"peers": tuple(changed)}), change)


def remove_peer(session: Session, home: Home, ae_title: str, change: Change) -> StoredNeighbours:
    """Let a peer no longer connect. Raises ConfigError where there is none."""
    before = _newest(session, home, change)
    _known_peer(before, ae_title)
    rest = tuple(item for item in before.peers if item.ae_title != ae_title)
    return _save(session, home, before.model_copy(update={"peers": rest}), change)


def roll_back(session: Session, home: Home, number: int, change: Change) -> StoredNeighbours:
    """Make an older version the newest, with the secrets of today. Raises ConfigError.

    number: 0 for what the settings file says now.
    """
    _newest(session, home, change)
    if number == 0:
        return _save(session, home, home.file, change, done="as the settings file has them now")
    older = neighbours.version(session, number)
    done = f"rolled back to version {number}"
    if older.without_secret:
        done += f"; enter the authorization of {', '.join(older.without_secret)} again"
    return _save(session, home, older.neighbours, change, done=done)


def try_destination(database: Database, destination: Destination, kind: TrialKind, *, who: str) -> Sequence[Said]:
    """Try a destination, keep what came of it, and return it. It may take half a minute; no transaction is open."""
    said = trials.tried(kind, destination)
    with database.write() as session:
        traffic.note_trial(session, destination.name, kind, said=said, who=who)
    return said


def differences(before: Neighbours, after: Neighbours) -> list[str]:
    """Return what was added, changed and removed, in words; of secrets only that they changed."""
    said = []
    names = dict.fromkeys([*(item.name for item in before.destinations), *(item.name for item in after.destinations)])
    for name in names:
        said += _differing(f"destination {name}", before.destination(name), after.destination(name))
    for title in dict.fromkeys([*before.ae_titles, *after.ae_titles]):
        said += _differing(f"peer {title}", before.peer(title), after.peer(title))
    return said


def refuse_loops(home: Home, wanted: Neighbours) -> None:
    """Raise ConfigError for a destination that is this node itself: its results would come back to it for ever."""
    for item in wanted.destinations:
        host, port = str(item.parameters.get("host", "")), item.parameters.get("port")
        if item.kind == "c_store" and port in home.ports and _is_here(host):
            raise ConfigError(f"destination {item.name}: {host}:{port} is this node itself")


def _put_destination(session: Session, home: Home, item: DestinationSettings, change: Change) -> StoredNeighbours:
    refuse_wrong(destination_of(home, item))
    before = neighbours.in_force(session, home.file).neighbours
    if before.destination(item.name) is None:
        after: tuple[DestinationSettings, ...] = (*before.destinations, item)
    else:
        after = tuple(item if one.name == item.name else one for one in before.destinations)
    wanted = before.model_copy(update={"destinations": after})
    refuse_loops(home, Neighbours(destinations=(item,)))
    return _save(session, home, wanted, change)


def _newest(session: Session, home: Home, change: Change) -> Neighbours:
    if change.seen is not None:
        neighbours.require_newest(session, home.file, change.seen)
    return neighbours.in_force(session, home.file).neighbours


def _save(session: Session, home: Home, wanted: Neighbours, change: Change, *, done: str = "") -> StoredNeighbours:
    for name, setting in home.archives.items():
        if name and wanted.destination(name) is None:
            raise ConfigError(f"destination {name} is {setting} of the settings file: it must stay")
    changes = differences(neighbours.in_force(session, home.file).neighbours, wanted)
    if not changes:
        raise ConfigError("nothing is changed by this")
    note = "; ".join(part for part in (done or ", ".join(changes), change.why) if part)
    return neighbours.save(session, wanted, home.file, author=change.who, note=note)


def _known_destination(known: Neighbours, name: str) -> DestinationSettings:
    found = known.destination(name)
    if found is None:
        names = ", ".join(item.name for item in known.destinations) or "none"
        raise ConfigError(f"there is no destination {name!r}; there is {names}")
    return found


def _known_peer(known: Neighbours, ae_title: str) -> None:
    if known.peer(ae_title) is None:
        raise ConfigError(f"there is no peer {ae_title!r}; there is {', '.join(known.ae_titles) or 'none'}")


def _right(peer: Peer) -> Peer:
    for address in peer.addresses:
        if not address.strip() or any(letter.isspace() for letter in address):
            raise ConfigError(f"peer {peer.ae_title}: {address!r} is no IP address, network or host name")
    return peer


def _differing(what: str, before: BaseModel | None, after: BaseModel | None) -> list[str]:
    if before is None or after is None:
        return [f"{what} {'added' if before is None else 'removed'}"]
    old, new = _flat(before), _flat(after)
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [f"{what}: {key} {_change(key, old.get(key), new.get(key))}" for key in changed]


def _flat(model: BaseModel) -> dict[str, Any]:
    values = model.model_dump(mode="json")
    return {**{key: value for key, value in values.items() if key != "parameters"}, **values.get("parameters", {})}


def _change(key: str, before: Any, after: Any) -> str:
    return "changed" if key in SECRET else f"{_word(before)} → {_word(after)}"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "as usual" if value is None else str(value)


def _parsed(model: type[Model], values: Mapping[str, Any]) -> Model:
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        said = [
            f"{'.'.join(str(part) for part in detail['loc'] if not str(part)[0].isupper())}: {complaint(detail)}"
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("; ".join(said)) from error


def _is_here(host: str) -> bool:
    """Say whether a host is this machine: only an address of its own can be bound."""
    try:
        addresses = {(family, address[0]) for family, _, _, _, address in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return any(_binds(family, str(address)) for family, address in addresses)


def _binds(family: int, address: str) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
