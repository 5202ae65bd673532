"""Scores of the radiograph model against marked corners: bodies found, overlap, levels, the anterior side, angles."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dicom_ai.domain.findings import Segmentation
from dicom_ai.measurements.radiograph_angles import lordosis_deg
from dicom_ai.measurements.radiograph_findings import ANGLES, facing_of
from dicom_ai.training.data.xray_cases import CORNERS, MADE_UP, Film
from dicom_ai.training.data.xray_synthesis import paint

VIEWS: dict[str, tuple[str, str]] = {
    "full": ("C2", "S1"),
    "cervical": ("C2", "T1"),
    "thoracic": ("T2", "T11"),
    "lumbar": ("T12", "S1"),
}
"""Name of a view -> its first and last vertebra. "full" is the film as it is."""

FOUND_IOU = 0.5
"""Intersection over union from which a body counts as found."""


@dataclass(frozen=True, slots=True)
class ViewScore:
    """Counts of one view; bodies are C3 to L5, of which all corners are marked. dice: one per body found.

    levels_right, levels_wrong, levels_withheld: of the bodies found. extra: segments that lie on no vertebra.
    drawn: bodies that were drawn. ends, ends_found: C2 and S1 in the view, and those whose place was found.
    side: "right", "wrong", "withheld". angles: key -> (measured, marked).
    """

    bodies: int
    found: int
    dice: tuple[float, ...]
    union_dice: float
    levels_right: int
    levels_wrong: int
    levels_withheld: int
    extra: int
    drawn: int
    ends: int
    ends_found: int
    side: str
    angles: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def all_right(self) -> bool:
        """Whether every body and reference vertebra was found, with its own level, and nothing else was drawn."""
        complete = self.levels_right == self.bodies == self.drawn and self.ends_found == self.ends
        return complete and not self.levels_wrong and not self.extra


def view_of(film: Film, name: str, *, mirrored: bool = False) -> Film:
    """Cut a view out of a film: its vertebrae with a margin above and below, and the soft tissue beside them."""
    pixels, corners, levels = film.pixels, film.corners, film.levels
    if name != "full":
        first, last = (levels.index(level) for level in VIEWS[name])
        inside = corners[first : last + 1].reshape(-1, 2)
        height = float(np.ptp(inside[:, 1])) / (last - first + 1)
        margin = height * np.array([4.5, 0.9])
        low = np.maximum(np.floor(inside.min(axis=0) - margin), 0).astype(int)
        high = np.minimum(np.ceil(inside.max(axis=0) + margin), pixels.shape[::-1]).astype(int)
        pixels, corners = pixels[low[1] : high[1], low[0] : high[0]], corners - low
    if mirrored:
        corners = corners.copy()
        corners[..., 0] = pixels.shape[1] - 1 - corners[..., 0]
        pixels = pixels[:, ::-1]
    return Film(f"{film.name} {name}{' mirrored' if mirrored else ''}", film.source, pixels, levels, corners)


def score_view(view: Film, segmentation: Segmentation, measured: dict[str, float], *, mirrored: bool) -> ViewScore:
    """Score a segmentation of a view. measured: the angles that were reported for it."""
    shape = view.pixels.shape
    truth = {level: _mask(corners, shape) for level, corners in zip(view.levels, view.corners, strict=True)}
    seen = {level: mask for level, mask in truth.items() if mask.sum() > 0 and _whole(view, level)}
    bodies = [level for level in seen if level not in MADE_UP]
    masks = {segment.number: segmentation.labels == segment.number for segment in segmentation.segments}
    levels = {vertebra.segment_number: vertebra.level for vertebra in segmentation.vertebrae}
    ends = [level for level in seen if level in MADE_UP]
    matched = {level: _best(seen[level], masks) for level in bodies}
    found = {level: number for level, (number, iou) in matched.items() if iou >= FOUND_IOU}
    named = {level: levels.get(number) for level, number in found.items()}
    everything = np.any(list(truth.values()), axis=0)
    painted = [mask for number, mask in masks.items() if levels.get(number) not in MADE_UP]
    return ViewScore(
        bodies=len(bodies),
        found=len(found),
        dice=tuple(_dice(seen[level], masks[number]) for level, number in found.items()),
        union_dice=_dice(
            _union([m for level, m in truth.items() if level not in MADE_UP], shape), _union(painted, shape)
        ),
        levels_right=sum(named[level] == level for level in found),
        levels_wrong=sum(named[level] not in (None, level) for level in found) + _false_ends(levels, masks, truth),
        levels_withheld=sum(named[level] is None for level in found),
        extra=int(sum((mask & everything).sum() < 0.2 * mask.sum() for mask in masks.values())),
        drawn=len(painted),
        ends=len(ends),
        ends_found=sum(_lies_on(level, levels, masks, truth) for level in ends),
        side=_side(segmentation, mirrored),
        angles={key: (value, _marked(view, key, mirrored)) for key, value in measured.items()},
    )


def totals(scores: Sequence[ViewScore]) -> dict[str, float | int | None]:
    """Return the scores of several views together."""
    bodies, found, drawn = (sum(getattr(s, name) for s in scores) for name in ("bodies", "found", "drawn"))
    dice = [value for score in scores for value in score.dice]
    differences = [abs(a - b) for score in scores for a, b in score.angles.values()]
    return {
        "views": len(scores),
        "views_right": sum(s.all_right for s in scores),
        "bodies": bodies,
        "found": found,
        "drawn": drawn,
        "recall": found / bodies if bodies else None,
        "precision": found / drawn if drawn else None,
        "dice_found": float(np.mean(dice)) if dice else None,
        "iou_found": float(np.mean([value / (2 - value) for value in dice])) if dice else None,
        "dice_all": float(np.mean([s.union_dice for s in scores])) if scores else None,
        "extra": sum(s.extra for s in scores),
        "ends": sum(s.ends for s in scores),
        "ends_found": sum(s.ends_found for s in scores),
        "levels_right": sum(s.levels_right for s in scores),
        "levels_wrong": sum(s.levels_wrong for s in scores),
        "levels_withheld": sum(s.levels_withheld for s in scores),
        "side_right": sum(s.side == "right" for s in scores),
        "side_wrong": sum(s.side == "wrong" for s in scores),
        "angles": len(differences),
        "angle_error_deg": float(np.mean(differences)) if differences else None,
    }


def _mask(corners: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    canvas = np.zeros(shape, np.float32)
    paint(canvas, corners)
    return canvas >= 0.5


def _whole(view: Film, level: str) -> bool:
    corners = view.corners[view.levels.index(level)]
    return bool((corners >= 0).all() and (corners < view.pixels.shape[::-1]).all())


def _best(truth: np.ndarray, masks: dict[int, np.ndarray]) -> tuple[int, float]:
    overlaps = {n: float((truth & mask).sum() / (truth | mask).sum()) for n, mask in masks.items()}
    return max(overlaps.items(), key=lambda item: item[1], default=(0, 0.0))


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(int(one.sum() + other.sum()), 1))


def _union(masks: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.any(list(masks), axis=0) if len(masks) else np.zeros(shape, bool)


def _lies_on(
    level: str, levels: dict[int, str | None], masks: dict[int, np.ndarray], truth: dict[str, np.ndarray]
) -> bool:
    """Whether the middle of the segment with this level lies on its vertebra."""
    for number, named in levels.items():
        if named == level and masks[number].any():
            row, column = np.argwhere(masks[number]).mean(axis=0).round().astype(int)
            return bool(truth[level][row, column])
    return False


def _false_ends(levels: dict[int, str | None], masks: dict[int, np.ndarray], truth: dict[str, np.ndarray]) -> int:
    """Count reference vertebrae that lie nowhere near their own: their outline is made up, so any overlap will do."""
    ends = [(number, level) for number, level in levels.items() if level in MADE_UP]
    return sum(not (masks[number] & truth[level]).any() for number, level in ends if level)


def _side(segmentation: Segmentation, mirrored: bool) -> str:
    facing = facing_of(segmentation.vertebrae) if segmentation.vertebrae else 0
    if not facing:
        return "withheld"
    return "right" if facing == (-1 if mirrored else 1) else "wrong"


def _marked(view: Film, key: str, mirrored: bool) -> float:
    upper, upper_end, lower, lower_end = next(row[1:] for row in ANGLES if row[0] == key)
    ends = [_endplate(view, upper, upper_end), _endplate(view, lower, lower_end)]
    return lordosis_deg(*ends, facing=-1 if mirrored else 1)


def _endplate(view: Film, level: str, which: str) -> tuple[np.ndarray, np.ndarray]:
    corners = dict(zip(CORNERS, view.corners[view.levels.index(level)], strict=True))
    return corners[f"{which}_back"], corners[f"{which}_front"]
