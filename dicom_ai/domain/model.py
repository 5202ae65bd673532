"""What identifies a deployed model in results, rules and audit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelOffset:
    """How much more a model reads than another segmenter on the same images, as its model.toml states.

    images: on how many that was measured.
    """

    segmenter: str
    offset_mm2: float
    images: int


@dataclass(frozen=True, slots=True)
class ModelRepeatability:
    """How far two means of a level may lie apart when the cord has not changed, as the model.toml states.

    csa_mm2: 95 % of such differences are smaller (the repeatability coefficient). pairs: how many were looked at.
    """

    csa_mm2: float
    pairs: int


@dataclass(frozen=True, slots=True)
class ModelReference:
    """Name, version and digest of the model that made a result.

    digest: SHA-256 in hex over all weight files. device: what the session really runs on ("CPU", "CUDA:0").
    """

    name: str
    version: str
    family: str
    digest: str
    device: str = "CPU"
    notes: tuple[str, ...] = ()
