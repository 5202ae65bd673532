"""Evaluation of the radiograph model on films its weights have never seen: regions cut out of them, and whole films."""

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dicom_ai.domain.findings import Segmentation, Structure, StructureKind
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.imaging.overlay import render, write_png
from dicom_ai.imaging.palette import color_of
from dicom_ai.inference.runtime import Runner
from dicom_ai.inference.vertxnet import VertxNetPredictor
from dicom_ai.inference.vertxnet_networks import SYSTEMS
from dicom_ai.measurements.radiograph_findings import ANGLES, radiograph_findings
from dicom_ai.training.data.xray_cases import Film
from dicom_ai.training.data.xray_synthesis import paint
from dicom_ai.training.recipes import Report
from dicom_ai.training.vertxnet_scores import FOUND_IOU, VIEWS, ViewScore, score_view, totals, view_of

COLUMNS = {
    "views": "views",
    "all right": "views_right",
    "bodies": "bodies",
    "found": "found",
    "recall": "recall",
    "precision": "precision",
    "Dice": "dice_found",
    "IoU": "iou_found",
    "Dice, all": "dice_all",
    "C2, S1": "ends",
    "located": "ends_found",
    "right": "levels_right",
    "wrong": "levels_wrong",
    "withheld": "levels_withheld",
    "side right": "side_right",
    "side wrong": "side_wrong",
    "angles": "angles",
    "angle error (deg)": "angle_error_deg",
}
"""Column of the card -> key of totals(). right, wrong, withheld: levels of bodies that were found."""

TITLES = {"ensemble": "ensemble", "unet": "U-Net alone", "detector": "Mask R-CNN alone"}
WHOLE, EVERYTHING = "full", "all"
"""The view that is a film as it is, and the view of a row that sums all views of a system."""
_PICTURE_PX = 1000


@dataclass(frozen=True, slots=True)
class FilmScores:
    """Scores of one system: of the views of lateral films, and what was found in films that show no lateral spine.

    ap_segments, ap_levels: of the films in `ap`, in how many any body was drawn, any level given. slowest_s: per view.
    """

    rows: tuple[tuple[str, ViewScore], ...] = field(repr=False)
    ap: int
    ap_segments: int
    ap_levels: int
    slowest_s: float


@dataclass(frozen=True, slots=True)
class View:
    """A view of a film to be scored. name: of vertxnet_scores.VIEWS."""

    film: Film
    name: str
    mirrored: bool


class Remembering:
    """A runner that looks once at each window: the systems that are compared share what the U-Net sees."""

    def __init__(self, runner: Runner) -> None:
        """Stand for a runner."""
        self.runner, self.device, self.runtime = runner, runner.device, runner.runtime
        self._seen: dict[bytes, tuple[np.ndarray, ...]] = {}

    def run(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what the runner gave for the same inputs before, or gives now."""
        key = hashlib.sha256(b"".join(one.tobytes() for one in inputs)).digest()
        if key not in self._seen:
            self._seen[key] = self.runner.run(*inputs)
        return self._seen[key]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How films are scored. systems: of SYSTEMS. mirrored: every view also mirrored. threads: views at a time.

    cut: also views cut out of the films, else whole films alone. pictures: folder for what the first system drew
    wrongly.
    """

    systems: Sequence[str] = SYSTEMS
    mirrored: bool = True
    cut: bool = True
    threads: int = 1
    pictures: Path | None = None


def evaluate_films(
    predictor: VertxNetPredictor, films: Sequence[Film], how: Comparison, *, say: Callable[[str], None]
) -> dict[str, FilmScores]:
    """Run every system on every view of every film; return the scores by system."""
    lateral = [film for film in films if film.levels]
    sides = (False, True) if how.mirrored else (False,)
    names = [name for name in VIEWS if how.cut or name == WHOLE]
    views = [View(film, name, side) for film in lateral for name in names for side in sides]
    with ThreadPoolExecutor(how.threads) as pool:
        scored = list(pool.map(lambda view: _scored(predictor, view, how, say), views))
        ap = list(pool.map(lambda film: _found(predictor, film, how.systems), (f for f in films if not f.levels)))
    return {
        system: FilmScores(
            rows=tuple((name, of[system][0]) for name, of in scored),
            ap=len(ap),
            ap_segments=sum(bool(of[system][0].segments) for of in ap),
            ap_levels=sum(any(vertebra.level for vertebra in of[system][0].vertebrae) for of in ap),
            slowest_s=max((of[system][1] for _, of in scored), default=0.0),
        )
        for system in how.systems
    }


def _found(predictor: VertxNetPredictor, film: Film, systems: Sequence[str]) -> dict[str, tuple[Segmentation, float]]:
    """Return what each system finds, and the seconds; those after the first reuse what the U-Net has seen."""
    shared = predictor.sharing(Remembering)
    found = {}
    for system in systems:
        began = time.monotonic()
        result = shared.of(system).predict(source_of(film))
        found[system] = (result, time.monotonic() - began)
    return found


def _scored(
    predictor: VertxNetPredictor, of: View, how: Comparison, say: Callable[[str], None]
) -> tuple[str, dict[str, tuple[ViewScore, float]]]:
    view = view_of(of.film, of.name, mirrored=of.mirrored)
    scores = {}
    for system, (result, seconds) in _found(predictor, view, how.systems).items():
        score = score_view(view, result, angles_of(view, result), mirrored=of.mirrored)
        scores[system] = (score, seconds)
        levels = f"levels {score.levels_right} right, {score.levels_wrong} wrong, {score.levels_withheld} withheld"
        say(f"{system}: {view.name}: {score.found} of {score.bodies}, {levels}")
        failed = score.found < score.bodies or score.levels_wrong
        if how.pictures is not None and system == how.systems[0] and failed:
            _picture(view, result, how.pictures)
    return view.name, scores


def _picture(view: Film, result: Segmentation, folder: Path) -> None:
    """Write a view twice, the marked bodies on the left and those drawn on the right."""
    step = max(1, max(view.pixels.shape) // _PICTURE_PX)
    truth = np.zeros(view.pixels.shape, np.uint8)
    for number, corners in enumerate(view.corners, 1):
        canvas = np.zeros(truth.shape, np.float32)
        paint(canvas, corners)
        truth[canvas >= 0.5] = number
    marked = {n: color_of(Structure(StructureKind.VERTEBRA, "", level)) for n, level in enumerate(view.levels, 1)}
    drawn = {one.number: color_of(one.structure, number=one.number) for one in result.segments}
    grey = view.pixels[::step, ::step]
    both = [render(grey, labels[::step, ::step], of) for labels, of in ((truth, marked), (result.labels, drawn))]
    folder.mkdir(parents=True, exist_ok=True)
    write_png(np.concatenate(both, axis=1), folder / f"{view.name.replace(' ', '-')}.png")


def report_of(scores: dict[str, FilmScores], *, seen: bool, notes: Sequence[str] = ()) -> Report:
    """Return the table of a model card: of each system one row per view, as it is and mirrored, and their sum.

    scores: by name in vertxnet_networks.SYSTEMS. notes: on what was scored.
    """
    rows = []
    for system, of in scores.items():
        seen_views = [view for view in VIEWS if any(view in name for name, _ in of.rows)]
        for view in (*seen_views, ""):
            total = totals([score for name, score in of.rows if view in name])
            cells = {name: total[key] for name, key in COLUMNS.items()} | {"drawn": total["drawn"]}
            rows.append({"system": TITLES[system], "view": view or EVERYTHING, **cells})
        rows[-1] |= {"AP films": of.ap, "AP drawn": of.ap_segments, "AP levels": of.ap_levels}
    slowest = next(iter(scores.values())).slowest_s
    below = [
        *summary(rows),
        f"Slowest view, {rows[0]['system']}, on the machine of the evaluation: {slowest:.1f} s.",
        *notes,
    ]
    if seen:
        below.append("These films were trained on: no figure here says how the model does on others.")
    return Report(("system", "view", *COLUMNS), tuple(rows), tuple(below))


def summary(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return a sentence per system over the rows of one or several reports."""
    every = [row for row in rows if row["view"] == EVERYTHING]
    return tuple(
        _sentence(system, [row for row in every if row["system"] == system])
        for system in dict.fromkeys(row["system"] for row in every)
    )


def _sentence(system: str, rows: Sequence[dict[str, Any]]) -> str:
    names = ("views", "all right", "bodies", "found", "drawn", "right", "wrong", "withheld")
    views, views_right, bodies, found, drawn, right, wrong, withheld = (sum(row[n] for row in rows) for n in names)
    hits = [row for row in rows if row["found"]]
    dice, iou = (sum(row[name] * row["found"] for row in hits) / max(found, 1) for name in ("Dice", "IoU"))
    precision = f"{found / drawn:.2f}" if drawn else "unknown"
    overlap = f", of those found Dice {dice:.3f} and IoU {iou:.3f}" if found else ""
    ap, ap_drawn, ap_levels = (sum(row[name] for row in rows) for name in ("AP films", "AP drawn", "AP levels"))
    return (
        f"{system}: {views} views, {views_right} all right; {bodies} bodies: recall {found / max(bodies, 1):.2f} and "
        f"precision {precision} at IoU {FOUND_IOU}{overlap}; "
        f"levels of them {right} right, {wrong} wrong, {withheld} withheld; {ap} AP films: bodies drawn in {ap_drawn}, "
        f"any level given in {ap_levels}."
    )


def source_of(film: Film) -> SourceImage:
    """Return a film as an image without any header."""
    image = Radiograph(film.pixels.astype(np.float32))
    return SourceImage("1.2.3", "1.2.3.4", image, (SourceFrame("1.2", "1.2.3.4.5"),))


def angles_of(film: Film, segmentation: Segmentation) -> dict[str, float]:
    """Return the angles that would be reported."""
    known = {row[0] for row in ANGLES}
    quantities = [q for found in radiograph_findings(source_of(film), segmentation) for q in found.quantities]
    return {q.key: q.value for q in quantities if q.key in known and q.value is not None}
