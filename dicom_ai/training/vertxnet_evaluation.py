"""Evaluation of the radiograph model on films its weights have never seen: regions cut out of them, and whole films."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from dicom_ai.domain.findings import Segmentation
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.inference.predictor import Predictor
from dicom_ai.measurements.radiograph_findings import ANGLES, radiograph_findings
from dicom_ai.training.data.xray_cases import Film
from dicom_ai.training.recipes import Report
from dicom_ai.training.vertxnet_scores import VIEWS, ViewScore, score_view, totals, view_of

COLUMNS = {
    "views": "views",
    "all right": "views_right",
    "bodies": "bodies",
    "found": "found",
    "precision": "precision",
    "Dice": "dice_found",
    "Dice, all": "dice_all",
    "C2, S1": "ends",
    "located": "ends_found",
    "levels given": "levels_given",
    "wrong": "levels_wrong",
    "side right": "side_right",
    "side wrong": "side_wrong",
    "angles": "angles",
    "angle error (deg)": "angle_error_deg",
}
"""Column of the card -> key of totals()."""

TITLES = {"ensemble": "ensemble", "unet": "U-Net alone", "detector": "Mask R-CNN alone"}


@dataclass(frozen=True, slots=True)
class FilmScores:
    """Scores of the views of lateral films, and what was found in films that show no lateral spine.

    ap_segments, ap_levels: of the films in `ap`, in how many any body was drawn, any level given. slowest_s: per view.
    """

    rows: tuple[tuple[str, ViewScore], ...] = field(repr=False)
    ap: int
    ap_segments: int
    ap_levels: int
    slowest_s: float

    def of(self, view: str) -> dict[str, float | int | None]:
        """Return the totals of the views whose name ends so."""
        return totals([score for name, score in self.rows if name.endswith(view)])


@dataclass(frozen=True, slots=True)
class View:
    """A view of a film to be scored. name: of vertxnet_scores.VIEWS."""

    film: Film
    name: str
    mirrored: bool


def evaluate_films(
    predictor: Predictor,
    films: Sequence[Film],
    *,
    threads: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> FilmScores:
    """Run the predictor on every view of every film, as it is and mirrored. threads: views at a time."""
    lateral = [film for film in films if film.levels]
    views = [View(film, name, side) for film in lateral for name in VIEWS for side in (False, True)]
    with ThreadPoolExecutor(threads) as pool:
        rows = list(pool.map(lambda view: _scored(predictor, view, say), views))
        ap = list(pool.map(lambda film: predictor.predict(source_of(film)), (f for f in films if not f.levels)))
    return FilmScores(
        tuple((name, score) for name, score, _ in rows),
        len(ap),
        sum(bool(result.segments) for result in ap),
        sum(any(vertebra.level for vertebra in result.vertebrae) for result in ap),
        max((seconds for *_, seconds in rows), default=0.0),
    )


def _scored(predictor: Predictor, of: View, say: Callable[[str], None]) -> tuple[str, ViewScore, float]:
    view = view_of(of.film, of.name, mirrored=of.mirrored)
    began = time.monotonic()
    result = predictor.predict(source_of(view))
    seconds = time.monotonic() - began
    score = score_view(view, result, angles_of(view, result), mirrored=of.mirrored)
    say(f"{view.name}: {score.found} of {score.bodies}, {score.levels_right} levels, {score.levels_wrong} wrong")
    return view.name, score, seconds


def report_of(scores: dict[str, FilmScores], *, seen: bool) -> Report:
    """Return the table of a model card: of each system one row per view, as it is and mirrored, and their sum.

    scores: by name in vertxnet_networks.SYSTEMS.
    """
    rows, notes = [], []
    for system, of in scores.items():
        for view in (*VIEWS, ""):
            total = totals([score for name, score in of.rows if view in name])
            cells = {name: total[key] for name, key in COLUMNS.items()}
            rows.append({"system": TITLES[system], "view": view or "all", **cells})
        drawn = f"bodies drawn in {of.ap_segments}, any level given in {of.ap_levels}"
        notes.append(f"AP films, {TITLES[system]}: {of.ap}; {drawn}.")
        notes.append(f"Slowest view, {TITLES[system]}, on the machine of the evaluation: {of.slowest_s:.1f} s.")
    if seen:
        notes.append("These films were trained on: no figure here says how the model does on others.")
    return Report(("system", "view", *COLUMNS), tuple(rows), tuple(notes))


def source_of(film: Film) -> SourceImage:
    """Return a film as an image without any header."""
    image = Radiograph(film.pixels.astype(np.float32))
    return SourceImage("1.2.3", "1.2.3.4", image, (SourceFrame("1.2", "1.2.3.4.5"),))


def angles_of(film: Film, segmentation: Segmentation) -> dict[str, float]:
    """Return the angles that would be reported."""
    known = {row[0] for row in ANGLES}
    quantities = [q for found in radiograph_findings(source_of(film), segmentation) for q in found.quantities]
    return {q.key: q.value for q in quantities if q.key in known and q.value is not None}
