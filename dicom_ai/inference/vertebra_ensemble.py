"""The ensemble rule: what the U-Net paints and what the Mask R-CNN finds become one row of vertebral bodies.

The paper (arXiv 2207.05476) says that a rule joins both, not how; this rule is ours, each step a function:

    1 pieces       connected parts of the U-Net's bodies
    2 seeds        detections, and the U-Net's own cores where no detection lies: what counts as one body
    3 shared out   a piece with one seed is that body; a merged piece is shared among its seeds, each pixel to the
                   nearest; where detection and U-Net agree their probabilities are averaged, else the detection's
                   outline stands
    4 lone         what only one of both saw is kept only where it fits the column of what both saw
    5 in column    bodies beside the column are dropped, and specks

Arrays are (rows, columns) on the grid of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import ndimage

AGREES = 0.5
"""Intersection over union from which a detection and a piece show one body."""
SURE = 0.7
"""Score from which a detection that the U-Net does not see may be kept."""
SIZE_RANGE = (0.5, 2.0)
"""A body is kept on its place alone where its height is within these multiples of the median."""
OFF_COLUMN, FAR_OFF_COLUMN = 0.35, 1.2
"""How far beside the column, in median heights: for a body with one witness, for any body."""
LEAST_COLUMN = 3
"""Bodies that make a column, beside which another one can be judged."""

LEAST_PIECE = 20
"""Pixels on the model's grid, whose smallest bodies have more than a hundred."""

LEAST_CORE, SPLINTER = 10, 0.25
STRAYS = 2
"""Bodies beyond a reference vertebra, of which more are no strays but a column: then it is no reference vertebra."""

_RISING = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_TOUCHES = 0.3
_SPECK = 0.2


@dataclass(frozen=True)
class Detection:
    """What a Mask R-CNN finds. kind: "vertebra", "C2" or "S1". soft: (rows, columns) probability, 0 outside its box."""

    kind: str
    score: float
    soft: np.ndarray = field(repr=False)

    @cached_property
    def mask(self) -> np.ndarray:
        """The pixels inside."""
        return self.soft >= 0.5

    @cached_property
    def area(self) -> int:
        """How many pixels lie inside."""
        return int(self.mask.sum())

    @cached_property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns that hold the mask; none where there is none."""
        found = ndimage.find_objects(self.mask.astype(np.uint8))
        return found[0] if found else (slice(0, 0), slice(0, 0))

    def share_in(self, mask: np.ndarray) -> float:
        """Return how much of it lies in a mask of the same grid."""
        return float((self.mask[self.window] & mask[self.window]).sum() / max(self.area, 1))


@dataclass(frozen=True)
class Body:
    """One vertebral body. witnesses: what saw it, of "unet" and "detector". score: mean probability inside."""

    soft: np.ndarray = field(repr=False)
    score: float
    witnesses: tuple[str, ...]

    @cached_property
    def mask(self) -> np.ndarray:
        """The pixels inside."""
        return self.soft >= 0.5

    @cached_property
    def centre(self) -> np.ndarray:
        """(column, row)."""
        rows, columns = np.nonzero(self.mask)
        return np.array([columns.mean(), rows.mean()])

    @cached_property
    def size(self) -> float:
        """The side of a square of the same area."""
        return float(np.sqrt(self.mask.sum()))


def ensemble(body: np.ndarray, core: np.ndarray, detections: Sequence[Detection] = ()) -> tuple[Body, ...]:
    """Return the bodies from above. body, core: probabilities of the U-Net. detections: of kind "vertebra"."""
    cores, core_count = separate_cores(core)
    least = _SPECK * _usual_core(cores, core_count)
    found, unseeded, used = [], [], set()
    for piece in pieces(body):
        seeds, numbers = seeds_of(piece, cores, detections, least)
        used |= numbers
        if not seeds:
            unseeded.append(Body(body * piece, _mean(body, piece), ("unet",)))
        found += shared_out(body, piece, seeds, [detections[number] for number in sorted(numbers)])
    lone = [
        Body(detection.soft, detection.score, ("detector",))
        for number, detection in enumerate(detections)
        if number not in used and detection.score >= SURE
    ]
    column, rest = witnessed(without_specks(found))
    kept = column + [candidate for candidate in (*rest, *lone, *unseeded) if fits_column(candidate, column)]
    return tuple(sorted(in_column(kept), key=lambda one: float(one.centre[1])))


def witnessed(found: Sequence[Body]) -> tuple[list[Body], list[Body]]:
    """Return the bodies that both networks saw, and the rest; all and none where too few of them make a column."""
    both = [body for body in found if len(body.witnesses) > 1]
    if len(both) < LEAST_COLUMN:
        return list(found), []
    return both, [body for body in found if len(body.witnesses) == 1]


def alone(detections: Sequence[Detection]) -> tuple[Body, ...]:
    """Return the bodies of a Mask R-CNN without a U-Net, from above: detections that lie in a column."""
    bodies = [Body(one.soft, one.score, ("detector",)) for one in detections]
    return tuple(sorted(in_column(without_specks(bodies)), key=lambda one: float(one.centre[1])))


def pieces(body: np.ndarray) -> list[np.ndarray]:
    """Return the connected parts of the U-Net's mask, bool, without holes; less than LEAST_PIECE pixels are none."""
    labels, _ = ndimage.label(ndimage.binary_fill_holes(body >= 0.5))
    sizes = np.bincount(labels.ravel())[1:]
    return [labels == number for number in 1 + np.flatnonzero(sizes >= LEAST_PIECE)]


def separate_cores(core: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the numbered cores and their count: parts that run together at one level are taken apart at a higher one.

    A core falls into parts only where none of them is a splinter: at least SPLINTER of the largest.
    """
    labels, _ = ndimage.label(core >= _RISING[0])
    numbered = np.zeros(core.shape, np.int32)
    count = 0
    for whole, window in enumerate(ndimage.find_objects(labels), 1):
        for part in _apart(labels[window] == whole, core[window]):
            count += 1
            numbered[window][part] = count
    return numbered, count


def _apart(whole: np.ndarray, core: np.ndarray) -> list[np.ndarray]:
    """Return the parts that a core falls into at rising levels."""
    found = [whole]
    for level in _RISING[1:]:
        found = [part for one in found for part in _parts(one, core >= level)]
    return found


def _parts(one: np.ndarray, above: np.ndarray) -> list[np.ndarray]:
    labels, _ = ndimage.label(one & above)
    sizes = np.bincount(labels.ravel())[1:]
    large = 1 + np.flatnonzero((sizes >= SPLINTER * sizes.max(initial=0)) & (sizes >= LEAST_CORE))
    return [labels == number for number in large] if len(large) > 1 else [one]


def seeds_of(
    piece: np.ndarray, cores: np.ndarray, detections: Sequence[Detection], least: float
) -> tuple[list[np.ndarray], set[int]]:
    """Return the seeds of a piece, and the numbers of the detections among them.

    A detection is a seed where enough of it lies in the piece; a core is one where no such detection covers it.
    """
    numbers = {n for n, found in enumerate(detections) if found.share_in(piece) >= _TOUCHES}
    seeds = [detections[number].mask & piece for number in sorted(numbers)]
    covered = np.any(seeds, axis=0) if seeds else np.zeros(piece.shape, bool)
    for number in np.unique(cores[piece]):
        core = cores == number
        if number and core.sum() >= least and _share(core, covered) < 0.5:
            seeds.append(core)
    return seeds, numbers


def shared_out(
    body: np.ndarray, piece: np.ndarray, seeds: Sequence[np.ndarray], detections: Sequence[Detection]
) -> list[Body]:
    """Return one body per seed: each pixel of the piece goes to the nearest seed.

    detections: those that the first seeds are. Where one agrees with its body, both probabilities are averaged.
    """
    if not seeds:
        return []
    nearest = np.where(piece, 0, -1)
    if len(seeds) > 1:
        window = ndimage.find_objects(np.any([piece, *seeds], axis=0).astype(np.uint8))[0]
        away = np.stack([ndimage.distance_transform_edt(~seed[window]) for seed in seeds])
        nearest[window] = np.where(piece[window], away.argmin(axis=0), -1)
    bodies = []
    for number in range(len(seeds)):
        mine = nearest == number
        if not mine.any():
            continue
        one = Body(body * mine, _mean(body, mine), ("unet",))
        bodies.append(fused(one, detections[number], body * (nearest < 0)) if number < len(detections) else one)
    return bodies


def fused(body: Body, detection: Detection, beside: np.ndarray) -> Body:
    """Average both probabilities where the two agree on one body; else the detection's outline stands.

    The Mask R-CNN has learned what one body is, the U-Net only what is body. beside: the U-Net's probability where it
    sees none. A detection may claim what lies there, but nothing of the bodies next to it: the mean of both counts,
    not what both are sure of.
    """
    free = (body.soft > 0) | (beside > 0)
    soft = detection.soft * free
    if (body.mask & detection.mask).sum() >= AGREES * (body.mask | detection.mask).sum():
        soft = (body.soft + beside + detection.soft) / 2 * free * (detection.soft > 0)
    return Body(soft, (body.score + detection.score) / 2, ("unet", "detector"))


def fits_column(candidate: Body, others: Sequence[Body]) -> bool:
    """Whether a body that only one of both saw lies on the column of the others, and is as large as they are."""
    if len(others) < LEAST_COLUMN or not candidate.mask.any():
        return False
    height = float(np.median([other.size for other in others]))
    alike = SIZE_RANGE[0] * height <= candidate.size <= SIZE_RANGE[1] * height
    apart = min(float(np.linalg.norm(candidate.centre - other.centre)) for other in others)
    return alike and apart > 0.6 * height and off_column(candidate, others) <= OFF_COLUMN * height


def off_column(body: Body, others: Sequence[Body]) -> float:
    """Return how far a body lies beside the line through those next to it, in pixels; infinite with one other."""
    centres = np.array(sorted((other.centre for other in others), key=lambda centre: float(centre[1])))
    if len(centres) < 2:
        return float("inf")
    place = int(np.searchsorted(centres[:, 1], body.centre[1]))
    near = centres[max(0, place - 2) : place + 2] if 0 < place < len(centres) else centres[max(0, place - 3) :][:3]
    # A spine bends by few degrees from one body to the next: the line of two on each side, or of three at an end.
    middle = near.mean(axis=0)
    along = np.linalg.svd(near - middle)[2][0]
    away = body.centre - middle
    return float(abs(away[0] * along[1] - away[1] * along[0]))


def in_column(bodies: Sequence[Body]) -> list[Body]:
    """Drop bodies that lie beside the column, the worst first."""
    kept = list(bodies)
    while len(kept) >= 4:
        away = [
            off_column(body, kept[:place] + kept[place + 1 :]) / _size_around(kept, place)
            for place, body in enumerate(kept)
        ]
        worst = int(np.argmax(away))
        if away[worst] <= FAR_OFF_COLUMN:
            break
        del kept[worst]
    return kept


def without_specks(bodies: Sequence[Body]) -> list[Body]:
    """Drop bodies far smaller than the median, and keep only the largest part of each."""
    whole = [replace(body, soft=body.soft * _largest(body.mask)) for body in bodies if body.mask.any()]
    usual = float(np.median([body.size for body in whole])) if whole else 0.0
    return [body for body in whole if body.size**2 >= _SPECK * usual**2]


def reference(soft: np.ndarray, bodies: Sequence[Body], detections: Sequence[Detection], *, above: bool) -> Body | None:
    """Return the reference vertebra: C2 above all bodies, S1 below them, or None.

    soft: the U-Net's probability of it. detections: those of its kind. It must lie where it can be: next to the end of
    the column, about as large as what it is next to.
    """
    candidates = _painted(soft)
    candidates += [Body(found.soft, found.score, ("detector",)) for found in detections if found.score >= SURE]
    possible = [one for one in candidates if bodies and at_end(one, bodies, above=above)]
    return max(possible, key=lambda one: one.score * one.size, default=None)


def confirmed(found: Body | None, detections: Sequence[Detection]) -> Body | None:
    """Return a reference vertebra of the U-Net where a detection of its kind covers its middle, else None.

    A reference in the wrong place shifts every level: where there are two networks, both must see it.
    """
    if found is None:
        return None
    column, row = np.rint(found.centre).astype(int)
    seen = [one for one in detections if one.mask[row, column]]
    return replace(found, witnesses=("unet", "detector")) if seen else None


def without_strays(
    bodies: Sequence[Body], soft: np.ndarray, detections: Sequence[Detection], *, above: bool
) -> tuple[Body, ...]:
    """Return the bodies without those that a reference vertebra which both networks see leaves no room for.

    Beyond S1, or beside it, is no vertebral body: what one network alone saw there, and that weakly, are parts of the
    sacrum or of the hips. A surer body stays: then it is the reference that is in doubt.
    """
    seen = [one for one in _painted(soft) if confirmed(one, detections)]
    kept = tuple(body for body in bodies if not any(_stray(body, one, above=above) for one in seen))
    return kept if len(bodies) - len(kept) <= STRAYS else tuple(bodies)


def _stray(body: Body, found: Body, *, above: bool) -> bool:
    """Whether a body is weak and lies beside a reference vertebra or beyond it, not before it."""
    weak = len(body.witnesses) == 1 and body.score < SURE
    beyond = (body.centre[1] - found.centre[1]) * (-1 if above else 1)
    return weak and bool(beyond > -found.size / 2)


def taken_for(soft: np.ndarray, bodies: Sequence[Body], *, above: bool) -> bool:
    """Whether the body at the end of the column is itself a reference vertebra by the U-Net.

    Then what lies beyond it may be the next one (S2 for S1), from which every level would be wrong.
    """
    if not bodies:
        return False
    end = bodies[0 if above else -1]
    return bool(soft[end.mask].mean() >= AGREES)


def _painted(soft: np.ndarray) -> list[Body]:
    """Return the parts of a channel of the U-Net that are large enough to be a vertebra."""
    labels, _ = ndimage.label(soft >= 0.5)
    large = 1 + np.flatnonzero(np.bincount(labels.ravel())[1:] >= LEAST_PIECE)
    return [Body(soft * (labels == n), _mean(soft, labels == n), ("unet",)) for n in large]


def at_end(candidate: Body, bodies: Sequence[Body], *, above: bool) -> bool:
    """Whether a candidate lies beyond the end of the column, at most two bodies away, and has a fitting size."""
    end = min(bodies, key=lambda body: body.centre[1] * (1 if above else -1))
    if not candidate.mask.any() or not 0.5 * end.size <= candidate.size <= 2.0 * end.size:
        return False
    apart = candidate.centre - end.centre
    beyond = -apart[1] if above else apart[1]
    return bool(beyond > 0.3 * end.size and np.linalg.norm(apart) < 2.6 * end.size)


def _usual_core(cores: np.ndarray, count: int) -> float:
    return float(np.median(np.bincount(cores.ravel())[1:])) if count else 0.0


def _size_around(bodies: Sequence[Body], place: int) -> float:
    return float(np.median([body.size for body in bodies[max(0, place - 3) : place + 4]]))


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float((part & whole).sum() / max(int(part.sum()), 1))


def _mean(soft: np.ndarray, mask: np.ndarray) -> float:
    inside = mask & (soft >= 0.5)
    return float(soft[inside].mean()) if inside.any() else 0.0
