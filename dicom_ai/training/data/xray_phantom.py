"""Lateral films of a spine made from formulas: what teaches a model that must not rest on films without a licence.

    curve of the column -> corners of C2 to S1 -> lengths of bone, soft tissue and air along every ray -> Beer-Lambert
                        -> scatter, photons counted, seam and grid lines -> a film as a detector writes it, bone bright

Lengths are in mm, everything is drawn from the number of the film, and anterior is on the right, as in the real ones.
The formulas are ours; no patient is in them.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy import ndimage

from dicom_ai.anatomy.levels import STANDARD
from dicom_ai.training.data.xray_cases import Film
from dicom_ai.training.data.xray_outlines import bowed, paint_outline
from dicom_ai.training.data.xray_synthesis import paint

SOURCE = "made from formulas (training/data/xray_phantom.py), Apache-2.0"
NAME = "phantom_"
SHAPE, PX_PER_MM = (1180, 560), 1.7
LEVELS = STANDARD[STANDARD.index("C2") :]

_PLACES = (0, 6, 11, 17, 20, len(LEVELS) - 1)
"""C2, T1, T6, T12, L3, S1: the sizes below are at these, and linear between."""
_HEIGHT_MM = (14.0, 16.0, 19.0, 25.0, 27.0, 27.0)
_DEPTH_MM = (16.0, 18.0, 25.0, 31.0, 35.0, 34.0)
_DISC_MM = (4.0, 4.0, 3.5, 5.0, 8.0, 9.0)
_LEAN_DEG = (-8.0, 24.0, 4.0, -14.0, -4.0, 38.0)
"""How far the front of a body lies below its back."""
_BEHIND_MM = (45.0, 70.0, 60.0, 60.0, 65.0, 80.0)
_BEFORE_MM = (55.0, 90.0, 150.0, 150.0, 130.0, 120.0)
_ACROSS_MM = (110.0, 330.0, 270.0, 270.0, 290.0, 350.0)
"""Of the trunk behind the column, before it, and from side to side."""
_BOW = (0.0, 0.09)
"""How far the middle of a side lies inside, of the body's height (endplates) or depth (front and back)."""

SOFT_PER_MM, BONE_PER_MM, METAL_PER_MM = 0.019, 0.036, 0.25
"""Attenuation at about 80 kV; that of bone and metal on top of the soft tissue they displace."""


@dataclass(frozen=True)
class Spine:
    """corners: (n, 4, 2) of C2 to S1, (column, row), in the order of xray_cases.CORNERS. centres: (n, 2).

    outlines: (n, POINTS, 2), with waists and sunken endplates.
    """

    corners: np.ndarray = field(repr=False)
    outlines: np.ndarray = field(repr=False)

    @property
    def centres(self) -> np.ndarray:
        """The middles of the bodies."""
        return np.asarray(self.corners.mean(axis=1))


def phantom_film(number: int) -> Film:
    """Return the film with this number: pixels uint8, corners of C2 to S1."""
    rng = np.random.default_rng((6, number))
    spine = drawn_spine(rng)
    lengths = soft_tissue_mm(spine, rng) * SOFT_PER_MM + bone_mm(spine, rng) * BONE_PER_MM
    if rng.random() < 0.25:
        lengths += implant_mm(spine, rng) * METAL_PER_MM
    pixels = exposed(lengths, rng)
    return Film(f"{NAME}{number:03d}", SOURCE, pixels, LEVELS, spine.corners.astype(np.float32), spine.outlines)


def drawn_spine(rng: np.random.Generator) -> Spine:
    """Draw a standing spine that fits the film."""
    count = len(LEVELS)
    lean = np.deg2rad(_along(_LEAN_DEG) * rng.uniform(0.4, 1.5) + rng.normal(0, 3, count))
    size = rng.uniform(0.88, 1.08)
    height, depth, disc = (_along(of) * size * rng.normal(1, 0.04, count) for of in (_HEIGHT_MM, _DEPTH_MM, _DISC_MM))
    down = np.stack([-np.sin(lean), np.cos(lean)], axis=1)
    front = np.stack([np.cos(lean), np.sin(lean)], axis=1)
    steps = (height[1:] + height[:-1]) / 2 + disc[1:]
    ways = (down[1:] + down[:-1]) / 2 * steps[:, None]
    centres = np.concatenate([np.zeros((1, 2)), np.cumsum(ways, axis=0)])
    wedge = 1 + rng.normal(0, 0.04, count)
    up_back, up_front = height / 2 * wedge, height / 2 / wedge
    corners = np.stack(
        [
            centres + across * depth[:, None] / 2 * front + along[:, None] * down
            for across, along in ((-1, -up_back), (1, -up_front), (1, up_front), (-1, up_back))
        ],
        axis=1,
    )
    room = np.array([0.42 * SHAPE[1], 0.09 * SHAPE[0]]) + rng.normal(0, 12, 2)
    scale = min(PX_PER_MM, 0.8 * SHAPE[0] / float(np.ptp(corners[..., 1])))
    corners = (corners - [centres[:, 0].mean(), corners[..., 1].min()]) * scale + room
    sizes = np.stack([height, depth, height, depth], axis=1) * scale
    return Spine(corners, bowed(corners, sizes * rng.uniform(_BOW[0], _BOW[1], sizes.shape)))


def soft_tissue_mm(spine: Spine, rng: np.random.Generator) -> np.ndarray:
    """Return the length of soft tissue along each ray: an elliptic trunk around the column, less lungs and gas."""
    rows, columns = np.arange(SHAPE[0]), np.arange(SHAPE[1])
    centres = spine.centres
    behind, before, across = (
        np.interp(rows, centres[:, 1], _along(of) * rng.uniform(0.85, 1.2))
        for of in (_BEHIND_MM, _BEFORE_MM, _ACROSS_MM)
    )
    middle = np.interp(rows, centres[:, 1], centres[:, 0]) + (before - behind) / 2 * PX_PER_MM
    half = (before + behind) / 2 * PX_PER_MM
    away = (columns[None] - middle[:, None]) / half[:, None]
    trunk = across[:, None] * np.sqrt(np.clip(1 - away**2, 0, 1))
    upper, lower = (centres[LEVELS.index(level), 1] for level in ("T2", "T11"))
    down = (rows[:, None] - (upper + lower) / 2) / ((lower - upper) / 2)
    lung = np.clip(1 - ((away - 0.25) / 0.75) ** 2 - down**2, 0, 1)
    gas = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), 14)
    bowel = np.clip(gas / gas.std() - 1, 0, 2) * (rows[:, None] > lower) * (away > 0.1)
    air = (1 - rng.uniform(0.4, 0.7) * lung) * (1 - rng.uniform(0, 0.15) * bowel)
    return np.asarray(trunk * air * (1 + rng.uniform(0.005, 0.03) * _texture(rng)), np.float32)


def bone_mm(spine: Spine, rng: np.random.Generator) -> np.ndarray:
    """Return the length of bone along each ray: bodies with a rim, arches, ribs, skull, and the rest of the pelvis."""
    drawn = np.zeros(SHAPE, np.float32)
    dense, hollow = rng.uniform(0.7, 2.4), rng.uniform(0.2, 0.75)
    for corners, outline in zip(spine.corners, spine.outlines, strict=True):
        depth_mm = float(np.linalg.norm(corners[1] - corners[0])) / PX_PER_MM
        inside = _filled(outline, share=rng.uniform(0.8, 0.92))
        drawn += dense * rng.uniform(0.8, 1.25) * depth_mm * (_filled(outline) - hollow * inside)
        drawn += dense * rng.uniform(0.2, 0.7) * depth_mm * _shell(_arch(corners, rng))
    for place in range(LEVELS.index("T1"), LEVELS.index("T12") + 1):
        for _ in range(2):  # both sides, seldom one upon the other
            drawn += _rib(spine.corners[place], rng)
    drawn += _skull(spine, rng) + _pelvis(spine, rng) + _others(rng)
    texture = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), rng.uniform(0.8, 2.0))
    return np.asarray(drawn * (1 + rng.uniform(0.05, 0.25) * texture / texture.std()), np.float32)


def implant_mm(spine: Spine, rng: np.random.Generator) -> np.ndarray:
    """Return the length of metal along each ray: screws through neighbouring bodies, and the rod behind them."""
    first = int(rng.integers(4, len(LEVELS) - 4))
    chosen = spine.corners[first : first + int(rng.integers(2, 8))]
    metal = np.zeros(SHAPE, np.float32)
    heads = []
    for corners in chosen:
        back, front = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
        heads.append(back - 0.7 * (front - back))
        metal += 5 * _band(heads[-1], back + 0.8 * (front - back), width=5.0)
    for above, below in pairwise(heads):
        metal += 6 * _band(above, below, width=6.0)
    return metal


def exposed(attenuation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the film, uint8: Beer-Lambert, scatter, counted photons; then the detector's software, grid and seam."""
    arrived = np.exp(-attenuation)
    scatter = ndimage.gaussian_filter(arrived, 60) * rng.uniform(0.1, 0.6)
    photons = 10 ** rng.uniform(4.5, 6.0)
    counted = rng.poisson((arrived + scatter) * photons) + 1.0
    film = ndimage.gaussian_filter(-np.log(counted / photons), rng.uniform(0.3, 0.9))
    film -= rng.uniform(0.6, 0.98) * ndimage.gaussian_filter(film, rng.uniform(25, 70))  # neck and hips on one film
    evened = rng.uniform(0, 0.8)
    spread = np.sqrt(ndimage.gaussian_filter(film**2, 50))
    film /= evened * spread / spread.mean() + (1 - evened) + 0.05
    low, high = np.percentile(film, (1, 99.7))
    film = np.clip((film - low) / (high - low), 0, 1)
    if rng.random() < 0.4:
        film[:: int(rng.integers(90, 160))] = 1.0
        film[:, :: int(rng.integers(90, 160))] = 1.0
    if rng.random() < 0.4:
        seam = int(rng.integers(SHAPE[0] // 4, 3 * SHAPE[0] // 4))
        film[seam:] = np.clip(film[seam:] * rng.uniform(0.8, 1.2), 0, 1)
    return np.round(255 * film).astype(np.uint8)


def _along(values: tuple[float, ...]) -> np.ndarray:
    """Return a value per level."""
    return np.interp(np.arange(len(LEVELS)), _PLACES, values)


def _painted(polygon: np.ndarray) -> np.ndarray:
    canvas = np.zeros(SHAPE, np.float32)
    paint(canvas, polygon)
    return canvas


def _filled(outline: np.ndarray, *, share: float = 1.0) -> np.ndarray:
    canvas = np.zeros(SHAPE, np.float32)
    paint_outline(canvas, outline, share=share)
    return canvas


def _shell(polygon: np.ndarray) -> np.ndarray:
    """Return a bone whose edge is denser than what it holds."""
    middle = polygon.mean(axis=0)
    return _painted(polygon) - 0.4 * _painted(middle + 0.7 * (polygon - middle))


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Return folds, vessels and fat: noise of all sizes, about 0, its spread 1."""
    total = np.zeros(SHAPE, np.float32)
    for size in (2, 5, 12, 30):
        one = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE).astype(np.float32), size)
        total += rng.uniform(0.3, 1.0) * one / one.std()
    return total / total.std()


def _others(rng: np.random.Generator) -> np.ndarray:
    """Return bones that lie anywhere, as arms and shoulder blades do: what is long and bright is no body yet."""
    drawn = np.zeros(SHAPE, np.float32)
    for _ in range(int(rng.integers(4, 16))):
        start = rng.uniform(0, 1, 2) * SHAPE[::-1]
        turn, width = rng.uniform(0, np.pi), rng.uniform(4, 24)
        end = start + rng.uniform(40, 220) * np.array([np.cos(turn), np.sin(turn)])
        drawn += rng.uniform(2, 16) * (_band(start, end, width=width) - 0.6 * _band(start, end, width=0.7 * width))
    return drawn


def _band(start: np.ndarray, end: np.ndarray, *, width: float) -> np.ndarray:
    along = end - start
    across = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-6) * width / 2
    return _painted(np.array([start - across, end - across, end + across, start + across]))


def _arch(corners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return pedicle, lamina and spinous process as one slanting shape behind the canal."""
    top_back, top_front, _, bottom_back = corners
    backwards, downwards = top_back - top_front, bottom_back - top_back
    start = top_back + 0.45 * backwards + 0.3 * downwards
    end = start + rng.uniform(0.7, 1.1) * backwards + rng.uniform(0.4, 0.9) * downwards
    return np.array([start, end, end + 0.45 * downwards, start + 0.5 * downwards])


def _rib(corners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a rib: from behind its body downwards and to the front, in pieces of a curve."""
    start = corners[0] + rng.normal(0, 4, 2)
    reach, fall = rng.uniform(90, 200), rng.uniform(60, 150)
    places = np.linspace(0, 1, 7)
    bulge = np.sin(np.pi * places) * rng.uniform(15, 45)
    points = start + np.stack([reach * places - bulge, fall * places**0.8 + bulge], axis=1)
    pieces = [_band(one, other, width=9.0) for one, other in pairwise(points)]
    hollow = [_band(one, other, width=5.0) for one, other in pairwise(points)]
    return np.asarray(rng.uniform(4, 16) * (np.max(pieces, axis=0) - 0.5 * np.max(hollow, axis=0)), np.float32)


def _skull(spine: Spine, rng: np.random.Generator) -> np.ndarray:
    """Return the base of the skull and the jaw above C2."""
    rows, columns = np.indices(SHAPE)
    top = spine.corners[0, :2].mean(axis=0)
    middle = top + np.array([rng.uniform(10, 50), -rng.uniform(105, 130)])
    away = np.hypot((columns - middle[0]) / 130, (rows - middle[1]) / 105)
    jaw = _band(top + np.array([55.0, -10]), top + np.array([120.0, 45]), width=26.0)
    return np.asarray(rng.uniform(15, 30) * np.clip((1 - away) * 12, 0, 1) + 12 * jaw, np.float32)


def _pelvis(spine: Spine, rng: np.random.Generator) -> np.ndarray:
    """Return the sacrum below S1, each segment smaller and more slanting, and the hips before it."""
    drawn = np.zeros(SHAPE, np.float32)
    corners = spine.corners[-1]
    for share in (0.85, 0.75, 0.6):
        down = (corners[2] + corners[3] - corners[0] - corners[1]) / 2
        turn = np.deg2rad(12)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        middle = corners.mean(axis=0)
        corners = (corners - middle) @ rotation * share + middle + down
        drawn += 20 * _painted(corners)
    rows, columns = np.indices(SHAPE)
    hip = spine.corners[-1].mean(axis=0) + np.array([rng.uniform(10, 70), rng.uniform(110, 170)])
    away = np.hypot(columns - hip[0], rows - hip[1]) / 45
    return np.asarray(drawn + 25 * np.clip((1 - away) * 10, 0, 1), np.float32)
