"""Why something failed: a technical text in plain words for a person, and in one of few words for numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """What signs in a technical text mean. word: the label of the numbers."""

    word: str
    signs: tuple[str, ...]
    text: str


REASONS = (
    Reason(
        "worker lost",
        ("parked",),
        "The worker died while it worked on this, more than once. Look at the images before another try.",
    ),
    Reason("memory", ("out of memory",), "The images were too large for the memory of the machine."),
    Reason(
        "refused",
        ("refused by", "refused with 0x"),
        "The destination answered that it does not take this object.",
    ),
    Reason(
        "timeout",
        ("timed out", "no answer", "ended early"),
        "The destination did not answer in time. It is tried again by itself.",
    ),
    Reason(
        "connection",
        ("refused the connection", "connection refused", "no route to host", "no association"),
        "Nothing listens at the destination's address, or a firewall is between.",
    ),
    Reason(
        "association rejected",
        ("association rejected",),
        "The destination does not let this node in: it must know the node's AE title and address.",
    ),
    Reason("unexpected", ("unexpected",), "Something broke that the node does not know. The log says where."),
    Reason("model files", ("digest",), "The model's files are not those that were installed."),
)
"""The first with a sign that occurs counts."""

OTHER = "other"
WORDS = (*dict.fromkeys(reason.word for reason in REASONS), OTHER)
"""Every label there can be."""


def plain(text: str) -> str:
    """Return what a technical text means for a person; "" where nothing is known of it."""
    found = _reason_of(text)
    return found.text if found else ""


def word_of(text: str) -> str:
    """Return the label of a technical text."""
    found = _reason_of(text)
    return found.word if found else OTHER


def _reason_of(text: str) -> Reason | None:
    lowered = text.lower()
    return next((reason for reason in REASONS if any(sign in lowered for sign in reason.signs)), None)
