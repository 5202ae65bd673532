"""Evaluation of the radiograph model on films its weights have never seen: regions cut out of them, and whole films."""

import time
from collections.abc import Callable, Sequence
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
    "bodies": "bodies",
    "found": "found",
    "Dice": "dice_found",
    "Dice, all": "dice_all",
    "extra": "extra",
    "levels given": "levels_given",
    "wrong": "levels_wrong",
    "side right": "side_right",
    "side wrong": "side_wrong",
    "angles": "angles",
    "angle error (deg)": "angle_error_deg",
}
"""Column of the card -> key of totals()."""


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


def evaluate_films(
    predictor: Predictor, films: Sequence[Film], *, say: Callable[[str], None] = lambda line: None
) -> FilmScores:
    """Run the predictor on every view of every film, as it is and mirrored."""
    rows, slowest, ap, ap_segments, ap_levels = [], 0.0, 0, 0, 0
    for film in films:
        if not film.levels:
            result = predictor.predict(source_of(film))
            ap += 1
            ap_segments += bool(result.segments)
            ap_levels += any(vertebra.level for vertebra in result.vertebrae)
            continue
        for name, mirrored in [(name, side) for name in VIEWS for side in (False, True)]:
            view = view_of(film, name, mirrored=mirrored)
            began = time.monotonic()
            result = predictor.predict(source_of(view))
            slowest = max(slowest, time.monotonic() - began)
            score = score_view(view, result, angles_of(view, result), mirrored=mirrored)
            rows.append((view.name, score))
            say(
                f"{view.name}: {score.found} of {score.bodies}, {score.levels_right} levels, {score.levels_wrong} wrong"
            )
    return FilmScores(tuple(rows), ap, ap_segments, ap_levels, slowest)


def report_of(scores: FilmScores, *, seen: bool) -> Report:
    """Return the table of a model card: one row per view, as it is and mirrored together, and the sum."""
    rows = []
    for view in (*VIEWS, ""):
        chosen = [score for name, score in scores.rows if view in name]
        total = totals(chosen)
        rows.append({"view": view or "all", **{name: total[key] for name, key in COLUMNS.items()}})
    notes = (
        f"AP films: {scores.ap}; bodies drawn in {scores.ap_segments}, any level given in {scores.ap_levels}.",
        f"Slowest view on the machine of the evaluation: {scores.slowest_s:.1f} s.",
        *(("These films were trained on: no figure here says how the model does on others.",) if seen else ()),
    )
    return Report(("view", *COLUMNS), tuple(rows), notes)


def source_of(film: Film) -> SourceImage:
    """Return a film as an image without any header."""
    image = Radiograph(film.pixels.astype(np.float32))
    return SourceImage("1.2.3", "1.2.3.4", image, (SourceFrame("1.2", "1.2.3.4.5"),))


def angles_of(film: Film, segmentation: Segmentation) -> dict[str, float]:
    """Return the angles that would be reported."""
    known = {row[0] for row in ANGLES}
    quantities = [q for found in radiograph_findings(source_of(film), segmentation) for q in found.quantities]
    return {q.key: q.value for q in quantities if q.key in known and q.value is not None}
