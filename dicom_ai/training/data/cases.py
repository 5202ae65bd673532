"""Training cases in one packed file. The training loop reads nothing else."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """One training case. Arrays have the axes (slice: feet to head, row: front to back, column: right to left).

    name: unique. person: who it shows; people are never shared between training and evaluation.
    kind: "labels" (no image: contrast is invented), "image" (a real image), "texture" (real tissue clusters, no cord).
    spacing_mm: of the grid, isotropic. source: where it comes from, with the licence.
    arrays: uint8. "tissue" (labels; the cord region painted as CSF) or "image"; "cord", "canal", "grey": the share of
        each voxel that is cord, within the dura, grey matter, times 255. No "cord": there is none in the case.
    """

    name: str
    person: str
    kind: str
    spacing_mm: float
    source: str
    arrays: dict[str, np.ndarray] = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over the arrays, in hex."""
        sha = hashlib.sha256()
        for key in sorted(self.arrays):
            sha.update(key.encode())
            sha.update(str(self.arrays[key].shape).encode())
            sha.update(np.ascontiguousarray(self.arrays[key]).tobytes())
        return sha.hexdigest()


def write_pack(path: Path, cases: Iterable[Case], *, about: dict[str, object]) -> None:
    """Write cases into one compressed file.

    about: what else a reader should know, e.g. {"sources": {file name: SHA-256}, "people": [...]}; JSON values.
    """
    arrays: dict[str, np.ndarray] = {}
    rows = []
    for number, case in enumerate(cases):
        rows.append(
            {
                "name": case.name,
                "person": case.person,
                "kind": case.kind,
                "spacing_mm": case.spacing_mm,
                "source": case.source,
                "arrays": sorted(case.arrays),
                "digest": case.digest,
            }
        )
        arrays |= {f"{number}/{key}": array for key, array in case.arrays.items()}
    header = json.dumps({"cases": rows, "about": about})
    np.savez_compressed(path, header=np.array(header), **arrays)  # type: ignore[arg-type]


def read_pack(path: Path) -> list[Case]:
    """Read the cases of a packed file."""
    with np.load(path, allow_pickle=False) as stored:
        rows = json.loads(str(stored["header"]))["cases"]
        return [
            Case(
                name=row["name"],
                person=row["person"],
                kind=row["kind"],
                spacing_mm=row["spacing_mm"],
                source=row["source"],
                arrays={key: stored[f"{number}/{key}"] for key in row["arrays"]},
            )
            for number, row in enumerate(rows)
        ]


def read_header(path: Path) -> dict[str, object]:
    """Read what a packed file says of itself: {"cases": rows without arrays, "about": ...}."""
    with np.load(path, allow_pickle=False) as stored:
        header: dict[str, object] = json.loads(str(stored["header"]))
        return header
