"""Draw docs/images/ensemble-rule.png: each step of the ensemble rule on painted bodies, by the step's own function.

python -m tests.ensemble_pictures docs/images/ensemble-rule.png

Above what a step is given, below what it returns. Grey: what the U-Net sees; orange outlines: detections.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from dicom_ai.inference import vertebra_ensemble as rule
from dicom_ai.inference.vertebra_ensemble import Body, Detection

SHAPE, GROWN, GAP, TITLE_PX = (150, 90), 2, 12, 34
COLORS = ((78, 121, 167), (89, 161, 79), (176, 122, 161), (237, 201, 72), (118, 183, 178))
ORANGE, PAPER, INK = (242, 142, 43), (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True)
class Step:
    """One step. soft: what the U-Net sees. detections: their outlines. result: masks that the step returns."""

    title: str
    soft: np.ndarray = field(repr=False)
    result: Sequence[np.ndarray] = field(repr=False)
    detections: Sequence[Detection] = ()


def box(top: int, *, height: int = 26, left: int = 30, width: int = 30, value: float = 0.9) -> np.ndarray:
    """Return a painted body."""
    image = np.zeros(SHAPE)
    image[top : top + height, left : left + width] = value
    return image


def detection(top: int, kind: str = "vertebra", **where: int) -> Detection:
    """Return a painted detection."""
    return Detection(kind, 0.9, box(top, **where))


def body(top: int, **where: int) -> Body:
    """Return a painted body as the rule has it."""
    return Body(box(top, **where), 0.9, ("unet",))


def column(*tops: int) -> np.ndarray:
    """Return several painted bodies in one image."""
    return np.max([box(top) for top in tops], axis=0)


def pieces() -> Step:
    soft = np.maximum(column(15, 55, 95), box(135, height=3, left=70, width=3))
    soft[64:70, 40:48] = 0.1
    return Step("pieces", soft, rule.pieces(soft))


def separate_cores() -> Step:
    soft = np.max([box(20, height=16), box(36, height=24, left=40, width=10, value=0.55), box(60, height=16)], axis=0)
    numbered, count = rule.separate_cores(soft)
    return Step("cores", soft, [numbered == number for number in range(1, count + 1)])


def _merged() -> np.ndarray:
    return np.maximum(column(20, 62), box(46, height=16, left=38, width=14))


def seeds_of() -> Step:
    soft, upper = _merged(), detection(20, height=28)
    cores = (box(68, height=14, left=36, width=18) > 0).astype(np.int32)
    seeds, _ = rule.seeds_of(soft >= 0.5, cores, [upper], least=10)
    return Step("seeds", soft, seeds, [upper])


def shared_out() -> Step:
    soft, found = _merged(), [detection(20, height=28), detection(64)]
    bodies = rule.shared_out(soft, soft >= 0.5, [one.mask & (soft >= 0.5) for one in found], found)
    return Step("shared out", soft, [one.mask for one in bodies], found)


def fused() -> Step:
    unsure = box(40, height=40, left=24, width=42, value=0.3)
    sure, found = body(44, height=30), detection(42, height=34, left=28, width=36)
    soft = np.maximum(sure.soft, unsure)
    return Step("agreement", soft, [rule.fused(sure, found, soft * (sure.soft == 0)).mask], [found])


def disagreeing() -> Step:
    below, found = body(84, height=24), detection(30, height=40)
    merged = body(44, height=40)
    soft = np.maximum(merged.soft, below.soft)
    beside = soft * (merged.soft == 0) * (below.soft == 0)
    return Step("disagreement", soft, [rule.fused(merged, found, beside + (soft == 0) * 0.1).mask, below.mask], [found])


def fits_column() -> Step:
    others = [body(10), body(48), body(122, height=24)]
    lone = [detection(86), detection(90, left=66, width=22)]
    candidates = [Body(one.soft, one.score, ("detector",)) for one in lone]
    kept = [*others, *(one for one in candidates if rule.fits_column(one, others))]
    return Step("lone", np.max([one.soft for one in others], axis=0), [one.mask for one in kept], lone)


def in_column() -> Step:
    bodies = [body(top, height=22, left=10) for top in (5, 35, 65, 95)]
    bodies += [body(122, height=22, left=64, width=22), body(70, height=4, left=80, width=4)]
    kept = rule.in_column(rule.without_specks(bodies))
    return Step("column", np.max([one.soft for one in bodies], axis=0), [one.mask for one in kept])


def _reference(confirming: bool) -> Step:
    bodies = [body(60), body(98)]
    c2 = box(22)
    seen = [detection(26, kind="C2")] if confirming else []
    found = rule.confirmed(rule.reference(c2, bodies, (), above=True), seen)
    kept = [*bodies, *([found] if found else [])]
    soft = np.max([c2, *(one.soft for one in bodies)], axis=0)
    return Step("C2 confirmed" if confirming else "not confirmed", soft, [one.mask for one in kept], seen)


def without_strays() -> Step:
    splinter = Body(box(84, height=18, left=64, width=18, value=0.6), 0.6, ("unet",))
    bodies = [body(5, height=24), body(38, height=24), splinter]
    s1, seen = box(72), [detection(74, kind="S1")]
    kept = rule.without_strays(bodies, s1, seen, above=False)
    soft = np.max([s1, *(one.soft for one in bodies)], axis=0)
    return Step("strays", soft, [*(one.mask for one in kept), s1 >= 0.5], seen)


def taken_for() -> Step:
    bodies, s1 = [body(5, height=24), body(38, height=24), body(71, height=24)], box(71, height=24)
    s2, seen = box(106, height=24), [detection(106, height=24, kind="S1")]
    doubted = rule.taken_for(s1, bodies, above=False)
    kept = bodies if doubted else [*bodies, Body(s2, 0.9, ("unet", "detector"))]
    return Step("S1 in doubt", np.max([s2, *(one.soft for one in bodies)], axis=0), [one.mask for one in kept], seen)


STEPS: tuple[Callable[[], Step], ...] = (
    pieces,
    separate_cores,
    seeds_of,
    shared_out,
    fused,
    disagreeing,
    fits_column,
    in_column,
    lambda: _reference(True),
    lambda: _reference(False),
    without_strays,
    taken_for,
)


def panel(masks: Sequence[np.ndarray], soft: np.ndarray, detections: Sequence[Detection]) -> np.ndarray:
    """Return one picture: grey probabilities, masks in colours, and outlines of detections."""
    picture = np.repeat((235 - 150 * soft)[..., None], 3, axis=2)
    for number, mask in enumerate(masks):
        picture[mask] = COLORS[number % len(COLORS)]
    picture = picture.repeat(GROWN, axis=0).repeat(GROWN, axis=1)
    for one in detections:
        mask = one.mask.repeat(GROWN, axis=0).repeat(GROWN, axis=1)
        picture[mask & ~ndimage.binary_erosion(mask, iterations=2)] = ORANGE
    return picture.astype(np.uint8)


def drawn(steps: Sequence[Step]) -> Image.Image:
    """Return all steps side by side."""
    rows, columns = (size * GROWN for size in SHAPE)
    width, height = len(steps) * (columns + GAP) + GAP, TITLE_PX + 2 * (rows + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    write = ImageDraw.Draw(sheet)
    for place, step in enumerate(steps):
        left = GAP + place * (columns + GAP)
        write.text((left, 8), step.title, fill=INK, font_size=18)
        nothing = np.zeros(SHAPE)
        given, returned = panel([], step.soft, step.detections), panel(step.result, nothing, [])
        for number, picture in enumerate((given, returned)):
            sheet.paste(Image.fromarray(picture), (left, TITLE_PX + number * (rows + GAP)))
    return sheet


if __name__ == "__main__":
    drawn([step() for step in STEPS]).save(sys.argv[1], optimize=True)
