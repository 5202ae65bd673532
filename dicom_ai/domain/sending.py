"""Which results go where: what rules ask for, in the forms that destinations want."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dicom_ai.domain.destination import Destination
from dicom_ai.domain.output import MASKS, Output, note_slot, output_of, seg_slot
from dicom_ai.domain.run import Request

OVERLAY = "overlay"
"""A rule that asks for it sends the picture also to destinations that have not chosen pictures."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One rule's request for what a model finds in a series."""

    model: str
    series_uid: str
    request: Request


def forms_wanted(asked: Iterable[Asked], destinations: Mapping[str, Destination]) -> frozenset[Output]:
    """Return the forms that go somewhere at all."""
    return frozenset(
        form for one in asked for destination in _of(one, destinations) for form in _forms(one.request, destination)
    )


def places_of(slot: str, asked: Iterable[Asked], destinations: Mapping[str, Destination]) -> set[str]:
    """Return where the object of a slot goes: a SEG where its own rules say, a report where any rule of the study says.

    A rejection note goes to the one destination that it was written for.
    """
    form = output_of(slot)
    return {
        destination.name
        for one in asked
        for destination in _of(one, destinations)
        if form in _forms(one.request, destination)
        if form not in MASKS or slot == seg_slot(one.model, one.series_uid, form)
        if form is not Output.REJECTION_NOTE or slot == note_slot(destination.name)
    }


def _of(one: Asked, destinations: Mapping[str, Destination]) -> Iterator[Destination]:
    """Return the destinations of a request; a name that is in no setting waits there in the usual forms."""
    if not one.request.shadow:
        for name in one.request.destinations or destinations:
            yield destinations.get(name) or Destination(name, "")


def _forms(request: Request, destination: Destination) -> set[Output]:
    """Return the forms of what a rule asks for that a destination gets."""
    asked = set(request.outputs)
    forms = {form for form in destination.outputs if ("seg" if form in MASKS else "sr") in asked}
    return forms | {Output.PICTURE} if OVERLAY in asked else forms
