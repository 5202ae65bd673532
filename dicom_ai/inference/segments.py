"""From label values of a model to the numbered, named segments of a result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np

from dicom_ai.domain.findings import Segment, Structure
from dicom_ai.inference.manifest import OutputSegment


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label image numbered from 1 without gaps, and its segments; empty where nothing was found."""

    labels: np.ndarray = field(repr=False)
    segments: tuple[Segment, ...]


def new_segment(number: int, structure: Structure) -> Segment:
    """Return a segment with a tracking UID of its own (PS3.5 B.2: 2.25 and the UUID as a decimal number)."""
    return Segment(number, structure, tracking_id=structure.name, tracking_uid=f"2.25.{uuid4().int}")


def labelled(values: np.ndarray, outputs: Sequence[OutputSegment]) -> Labelled:
    """Keep the label values that the outputs name, numbered in their order; what is absent gets no segment.

    values: label image with the model's own values; others than the outputs' become background.
    """
    present = np.unique(values)
    found = [output for output in outputs if output.value in present]
    table = np.zeros(max(int(present.max(initial=0)), *(output.value for output in outputs)) + 1, np.uint16)
    for number, output in enumerate(found, 1):
        table[output.value] = number
    labels = table[values].astype(np.uint8 if len(found) < 256 else np.uint16)
    return Labelled(labels, tuple(new_segment(number, output.structure) for number, output in enumerate(found, 1)))
