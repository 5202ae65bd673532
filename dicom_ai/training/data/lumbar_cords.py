"""In which lumbar images a cord can be seen: the list made by looking at mid-sagittal and axial pictures of each.

lumbar_cords.csv says for every volume of the data's spine_mr: "yes", "no" or "in doubt", and what was seen. "No" is
what the picture shows and no more: these images begin at T12 or L1, where most adults still have a conus.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

LIST = "lumbar_cords.csv"


@dataclass(frozen=True, slots=True)
class LumbarCord:
    """cord: "yes", "no" or "in doubt". seen: what a person saw."""

    cord: str
    seen: str


@cache
def lumbar_cords() -> MappingProxyType[str, LumbarCord]:
    """Return image name -> what was seen in it."""
    text = files("dicom_ai.training.data").joinpath(LIST).read_text(encoding="utf-8")
    return MappingProxyType(
        {row["image"]: LumbarCord(row["cord"], row["seen"]) for row in csv.DictReader(text.splitlines())}
    )


def without_cord() -> frozenset[str]:
    """Return the images in which no cord is visible."""
    return frozenset(name for name, one in lumbar_cords().items() if one.cord == "no")
