"""What is handed to a destination, and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dicom_ai.domain.destination import Destination
from dicom_ai.errors import ConfigError, DicomAiError


@dataclass(frozen=True, slots=True)
class Delivery:
    """One result object to bring somewhere.

    path: a DICOM file. sent_before: an earlier try ended without an answer, so that the destination may have it.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    sent_before: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of one object.

    error: None when the destination has it; PeerUnavailable (try later), DeliveryUnknown (send again to be sure) or
    PermanentRefusal (a person must look) when it has not. answer: the destination's own word, "0x0000" or "HTTP 200".
    """

    sop_instance_uid: str
    error: DicomAiError | None = None
    answer: str = ""

    @property
    def delivered(self) -> bool:
        """Whether the destination has the object."""
        return self.error is None


class Deliver(Protocol):
    """A kind of destination."""

    def __call__(self, deliveries: Sequence[Delivery], destination: Destination) -> tuple[DeliveryResult, ...]:
        """Bring objects there and return one result each, in order. Raises ConfigError for wrong parameters only."""


def text(destination: Destination, key: str, default: str | None = None) -> str:
    """Return a parameter as text. Raises ConfigError where it is absent and has no default."""
    value = destination.parameters.get(key, default)
    if value is None or value == "":
        if default is not None:
            return default
        raise ConfigError(f"destination {destination.name}: parameter {key} is missing")
    return str(value)


def number(destination: Destination, key: str, default: float | None = None) -> float:
    """Return a parameter as a number. Raises ConfigError where it is none, or absent without a default."""
    value = destination.parameters.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"destination {destination.name}: parameter {key} is missing or no number")
    return value


def refuse_unknown(destination: Destination, known: frozenset[str]) -> None:
    """Raise ConfigError that names a parameter this kind does not know."""
    for key in sorted(destination.parameters):
        if key not in known:
            raise ConfigError(f"destination {destination.name}: {destination.kind} has no parameter {key}")
