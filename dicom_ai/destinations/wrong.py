"""What is wrong with the parameters of a destination, found before it is saved, not when the first result waits."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dicom_ai.destinations import c_store, folder, stow_rs
from dicom_ai.destinations.delivery import number, refuse_unknown, text
from dicom_ai.destinations.identity import check_of
from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError
from dicom_ai.sections import AE_TITLE

HIGHEST_PORT = 65_535


def refuse_wrong(destination: Destination) -> None:
    """Raise ConfigError that names the first parameter that cannot be; nobody is called."""
    _OF_KIND[destination.kind](destination)
    check_of(destination)


def _c_store(destination: Destination) -> None:
    peer = c_store.remote_ae(destination)
    for key, title in (("called_ae_title", peer.called_ae_title), ("calling_ae_title", peer.calling_ae_title)):
        if not re.fullmatch(AE_TITLE, title):
            raise _wrong(destination, key, f"{title!r} is no AE title: 1 to 16 letters of ASCII, no backslash")
    if not 1 <= peer.port <= HIGHEST_PORT:
        raise _wrong(destination, "port", f"{peer.port} is not between 1 and {HIGHEST_PORT}")
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", peer.host):
        raise _wrong(destination, "host", "no host name or address")
    _refuse_no_time(destination, c_store.TIMEOUTS)


def _stow_rs(destination: Destination) -> None:
    refuse_unknown(destination, stow_rs.PARAMETERS)
    stow_rs.refuse_wrong(destination)
    if "@" in urlsplit(text(destination, "url")).netloc:  # it would be shown wherever the address is, and is not sent
        raise _wrong(destination, "url", "it holds a log-in: give that as parameter authorization")
    if not text(destination, "authorization", "").isprintable():
        raise _wrong(destination, "authorization", "it is one line of letters")
    _refuse_no_time(destination, frozenset({"timeout_s"}))


def _folder(destination: Destination) -> None:
    refuse_unknown(destination, folder.PARAMETERS)
    if not Path(text(destination, "folder")).is_absolute():
        raise _wrong(destination, "folder", "the path must begin with /")


def _refuse_no_time(destination: Destination, keys: frozenset[str]) -> None:
    for key in sorted(keys & destination.parameters.keys()):
        if number(destination, key) <= 0:
            raise _wrong(destination, key, "it must be more than 0 seconds")


def _wrong(destination: Destination, key: str, why: str) -> ConfigError:
    return ConfigError(f"destination {destination.name}: parameter {key}: {why}")


_OF_KIND: Mapping[str, Callable[[Destination], None]] = {"c_store": _c_store, "stow_rs": _stow_rs, "folder": _folder}
