"""Radiographs with the corners of their vertebrae, in one packed file: packing needs Pillow, reading numpy only.

../shared/data/radiographs: twenty lateral full-spine films with corners.json (no licence file came with them), and AP
films (CADMA, CC BY 4.0), which teach what is no lateral spine.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dicom_ai.anatomy.levels import LEVELS, SACRUM
from dicom_ai.training.data.xray_outlines import POINTS, refined, straight

CORNERS = ("top_back", "top_front", "bottom_front", "bottom_back")
"""The order of a vertebra's corners, around it. back is posterior, front anterior."""

HELD_OUT_LATERAL = ("lateral_04", "lateral_08", "lateral_12", "lateral_16", "lateral_20")
"""Films that no shipped weights were trained on; all figures of the model card are measured on them."""

MADE_UP = ("C2", SACRUM)
"""Only one endplate of these is marked."""

LATERAL_SOURCE = "amyzethorrobot/vertebrae_detection, open test dataset, no licence file"
AP_SOURCE = "CADMA AP scoliosis films, CC BY 4.0"
_C2_HEIGHT, _S1_HEIGHT = 1.1, 0.8
_TAPER = 0.85


@dataclass(frozen=True)
class Film:
    """One radiograph. pixels: uint8 (rows, columns).

    levels: the vertebrae that are marked, from above. corners: float32 (n, 4, 2), (column, row) in the order of
    CORNERS; pixel centres are whole numbers. Films without a lateral spine have none. outlines: (n, POINTS, 2), what
    teaches the shape of a body; without them its sides are straight.
    """

    name: str
    source: str
    pixels: np.ndarray = field(repr=False)
    levels: tuple[str, ...] = ()
    corners: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 2), np.float32), repr=False)
    outlines: np.ndarray = field(default_factory=lambda: np.zeros((0, POINTS, 2), np.float32), repr=False)

    @property
    def shapes(self) -> np.ndarray:
        """The outlines (n, POINTS, 2) that teach."""
        return self.outlines if len(self.outlines) else straight(self.corners)


def read_films(folder: Path) -> list[Film]:
    """Read the films of ../shared/data/radiographs: the lateral ones with their corners, then the AP ones."""
    from PIL import Image  # only packing needs it

    def pixels(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))

    marked = json.loads((folder / "corners.json").read_text(encoding="utf-8"))
    films = [lateral_film(Path(name).stem, pixels(folder / name), points) for name, points in sorted(marked.items())]
    return films + [Film(path.stem, AP_SOURCE, pixels(path)) for path in _ap_paths(folder)]


def lateral_film(name: str, pixels: np.ndarray, marked: dict[str, dict[str, list[float]]]) -> Film:
    """Return a film with all corners of its vertebrae; those that nobody marked (upper C2, lower S1) are made up."""
    levels = tuple(level for level in LEVELS if level in marked)
    known = {level: {corner: np.array(point) for corner, point in marked[level].items()} for level in levels}
    heights = {level: _height(points) for level, points in known.items() if len(points) == len(CORNERS)}
    corners = [_completed(level, known[level], heights) for level in levels]
    return Film(name, LATERAL_SOURCE, pixels, levels, np.array(corners, np.float32))


def with_refined_outlines(film: Film) -> Film:
    """Return a film whose bodies have the waists that it shows; C2 and S1 are made up and stay straight."""
    outlines = straight(film.corners)
    marked = [place for place, level in enumerate(film.levels) if level not in MADE_UP]
    if marked:
        outlines[marked] = refined(film.pixels, film.corners[marked])
    return replace(film, outlines=outlines)


def write_films(path: Path, films: Iterable[Film]) -> None:
    """Write films into one compressed file."""
    rows, arrays = [], {}
    for number, film in enumerate(films):
        rows.append({"name": film.name, "source": film.source, "levels": film.levels})
        arrays[f"{number}/pixels"], arrays[f"{number}/corners"] = film.pixels, film.corners
        arrays[f"{number}/outlines"] = film.outlines
    np.savez_compressed(path, header=np.array(json.dumps(rows)), **arrays)  # type: ignore[arg-type]


def read_packed(path: Path) -> list[Film]:
    """Read the films of a packed file."""
    with np.load(path, allow_pickle=False) as stored:
        return [
            Film(
                row["name"],
                row["source"],
                stored[f"{n}/pixels"],
                tuple(row["levels"]),
                stored[f"{n}/corners"],
                stored[f"{n}/outlines"],
            )
            for n, row in enumerate(json.loads(str(stored["header"])))
        ]


def held_out_names(names: Iterable[str]) -> frozenset[str]:
    """Return which of these films the shipped weights never see: five lateral ones and every second AP film."""
    return frozenset(name for name in names if name in HELD_OUT_LATERAL or _second_ap(name))


def film_names(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the lateral films and of the AP films of ../shared/data/radiographs."""
    marked = json.loads((folder / "corners.json").read_text(encoding="utf-8"))
    return tuple(Path(name).stem for name in sorted(marked)), tuple(path.stem for path in _ap_paths(folder))


def split(films: Sequence[Film]) -> tuple[list[Film], list[Film]]:
    """Return the films that the shipped weights are trained on, and those held out."""
    held = held_out_names(film.name for film in films)
    return [film for film in films if film.name not in held], [film for film in films if film.name in held]


def _ap_paths(folder: Path) -> list[Path]:
    return sorted((folder / "ap").glob("*.jpg"))


def _second_ap(name: str) -> bool:
    return name.startswith("ap_") and int(name.rpartition("_")[2]) % 2 == 0


def _height(points: dict[str, np.ndarray]) -> float:
    top = points["top_back"] + points["top_front"]
    bottom = points["bottom_back"] + points["bottom_front"]
    return float(np.linalg.norm(top - bottom) / 2)


def _completed(level: str, points: dict[str, np.ndarray], heights: dict[str, float]) -> np.ndarray:
    """Return four corners; from one endplate alone the body is drawn at right angles, tapering."""
    if len(points) == len(CORNERS):
        return np.array([points[corner] for corner in CORNERS])
    known = "bottom" if "bottom_back" in points else "top"
    back, front = points[f"{known}_back"], points[f"{known}_front"]
    along = front - back
    upwards = np.array([along[1], -along[0]]) / np.linalg.norm(along)
    upwards = upwards if upwards[1] < 0 else -upwards
    neighbour = heights["C3"] * _C2_HEIGHT if known == "bottom" else heights["L5"] * _S1_HEIGHT
    shift = upwards * neighbour * (1 if known == "bottom" else -1)
    middle = (back + front) / 2 + shift
    far_back, far_front = middle - _TAPER * along / 2, middle + _TAPER * along / 2
    return np.array([far_back, far_front, front, back] if known == "bottom" else [back, front, far_front, far_back])
