"""Where results go."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dicom_ai.domain.output import USUAL_OUTPUTS, Output


@dataclass(frozen=True, slots=True)
class Destination:
    """A named place that takes results. kind names a row of destinations.DESTINATIONS.

    parameters: what that kind needs (c_store: host, port, called_ae_title, calling_ae_title; stow_rs: url;
        folder: path). most_per_hour: objects sent there within an hour at most; 0 for no limit.
    outputs: the forms in which it gets results. largest_mb: objects larger than this, in 1e6 bytes, are not sent there
        but the next best form of them; 0 for no limit.
    """

    name: str
    kind: str
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    most_per_hour: int = 0
    outputs: frozenset[Output] = USUAL_OUTPUTS
    largest_mb: float = 0
