"""One training sample from a film: a view of random size, place, tilt and side, exposed and spoilt at random.

The model works on a grid where a vertebral body is SMALLEST_PX to LARGEST_PX high; a view is drawn so that the body in
its middle has such a height. Everything is drawn from the number of the sample: batch i is always the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from dicom_ai.imaging.radiograph_contrast import two_channels
from dicom_ai.training.data.xray_cases import Film
from dicom_ai.training.data.xray_outlines import POINTS, paint_outline

SMALLEST_PX, LARGEST_PX = 13.0, 48.0
CORE = 0.6
"""A core is the body shrunk to this about its middle: cores never touch, bodies may."""

TARGETS = ("body", "core", "C2", "S1", "front")
"""What the channels of the target stand for. front: the anterior half of every body."""

_PYRAMID = 4
_ROUNDS = 12
"""Of undoing a bend: each is nearer by the factor that its heights change by."""


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """shape: rows and columns of a sample. empty: share of views without a lateral spine (AP films).

    bent: share of views whose column is bent and stretched. veiled: share that have an AP film before them.
    """

    shape: tuple[int, int] = (288, 192)
    empty: float = 0.08
    anywhere: float = 0.12
    ends: float = 0.3
    tilt_deg: float = 14.0
    bent: float = 0.6
    veiled: float = 0.25


@dataclass(frozen=True)
class Bank:
    """Films with smaller copies of themselves, so that strong reduction does not alias."""

    lateral: tuple[Film, ...]
    empty: tuple[Film, ...]
    pyramids: dict[str, list[np.ndarray]] = field(repr=False)

    @classmethod
    def of(cls, films: Sequence[Film]) -> "Bank":
        """Prepare films for drawing."""
        pyramids = {film.name: _pyramid(film.pixels) for film in films}
        return cls(tuple(f for f in films if f.levels), tuple(f for f in films if not f.levels), pyramids)


@dataclass(frozen=True)
class View:
    """A drawn view. image: (2, rows, columns). corners, outlines: of the film's vertebrae, also those outside."""

    image: np.ndarray = field(repr=False)
    levels: tuple[str, ...] = ()
    corners: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 2), np.float32), repr=False)
    outlines: np.ndarray = field(default_factory=lambda: np.zeros((0, POINTS, 2), np.float32), repr=False)


def draw_view(bank: Bank, config: ViewConfig, *, seed: int, number: int) -> View:
    """Return the view with this number."""
    rng = np.random.default_rng((seed, number))
    if bank.empty and rng.random() < config.empty:
        film = bank.empty[rng.integers(len(bank.empty))]
        height = film.pixels.shape[0] / 18  # about as a spine of so many vertebrae
        centre = rng.uniform(0.2, 0.8, 2) * film.pixels.shape[::-1]
    else:
        film = bank.lateral[rng.integers(len(bank.lateral))]
        centre, height = _centre(film, config, rng)
    scale = float(np.exp(rng.uniform(np.log(SMALLEST_PX), np.log(LARGEST_PX)))) / height
    matrix = _matrix(scale, config, rng)
    middle = np.array(config.shape[::-1]) / 2
    offset = centre - np.linalg.inv(matrix) @ middle
    bend = Bend.drawn(config.shape[0], rng) if rng.random() < config.bent else Bend()
    pixels = _sampled(bank.pyramids[film.name], np.linalg.inv(matrix), offset, bend, config.shape)
    if bank.empty and rng.random() < config.veiled:
        pixels = pixels + rng.uniform(0.1, 0.4) * _veil(bank, config, rng)
    corners, outlines = (
        bend.undone((points - offset) @ matrix.T).astype(np.float32) for points in (film.corners, film.shapes)
    )
    image = two_channels(spoilt(np.maximum(pixels, 0.0), rng))
    return View(image, film.levels, corners, outlines)


@dataclass(frozen=True, slots=True)
class Bend:
    """Moves a point (column, row) aside and along by two waves of its row: other curves, other heights, same bodies.

    across, along: amplitude in pixels, waves per pixel (in radians), phase.
    """

    across: tuple[float, float, float] = (0.0, 0.0, 0.0)
    along: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def drawn(cls, rows: int, rng: np.random.Generator) -> "Bend":
        """Draw waves of a third to one and a half turns; edges lean by up to 14 degrees, heights change by 15 %."""
        waves = []
        for steepest in (0.25, 0.15):
            per_pixel = 2 * np.pi * rng.uniform(0.3, 1.5) / rows
            waves.append((rng.uniform(0, steepest) / per_pixel, per_pixel, rng.uniform(0, 2 * np.pi)))
        return cls(waves[0], waves[1])

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Return where the film is looked at for points (..., 2) of the view."""
        rows = points[..., 1]
        return points + np.stack([_wave(rows, self.across), _wave(rows, self.along)], axis=-1)

    def undone(self, points: np.ndarray) -> np.ndarray:
        """Return the points that moved() takes to these."""
        rows = points[..., 1]
        for _ in range(_ROUNDS):
            rows = points[..., 1] - _wave(rows, self.along)
        return np.stack([points[..., 0] - _wave(rows, self.across), rows], axis=-1)


def _wave(rows: np.ndarray, wave: tuple[float, float, float]) -> np.ndarray:
    amplitude, per_pixel, phase = wave
    return np.asarray(amplitude * np.sin(per_pixel * rows + phase))


def _veil(bank: Bank, config: ViewConfig, rng: np.random.Generator) -> np.ndarray:
    """Return a view of an AP film about its own mean: ribs and soft tissue that lie before a spine."""
    film = bank.empty[rng.integers(len(bank.empty))]
    matrix = _matrix(float(rng.uniform(1.5, 4.0)) * config.shape[0] / film.pixels.shape[0], config, rng)
    centre = rng.uniform(0.3, 0.7, 2) * film.pixels.shape[::-1]
    to_film = np.linalg.inv(matrix)
    start = centre - to_film @ (np.array(config.shape[::-1]) / 2)
    other = _sampled(bank.pyramids[film.name], to_film, start, Bend(), config.shape)
    return np.asarray(other - other.mean())


def targets(view: View) -> np.ndarray:
    """Return the target channels of a view, float32 (len(TARGETS), rows, columns), soft at the outlines."""
    shape = view.image.shape[1:]
    drawn = np.zeros((len(TARGETS), *shape), np.float32)
    for level, corners, outline in zip(view.levels, view.corners, view.outlines, strict=True):
        body = "body" if level not in TARGETS else level
        paint_outline(drawn[TARGETS.index(body)], outline)
        if body == "body":
            paint_outline(drawn[TARGETS.index("core")], outline, share=CORE)
        paint(drawn[TARGETS.index("front")], front_half(corners))
    everything = drawn[[TARGETS.index(name) for name in ("body", "C2", "S1")]].max(axis=0)
    np.minimum(drawn[TARGETS.index("front")], everything, out=drawn[TARGETS.index("front")])
    return drawn


def front_half(corners: np.ndarray) -> np.ndarray:
    """Return the anterior half of a body, corners in the same order."""
    top_back, top_front, bottom_front, bottom_back = corners
    return np.array([(top_back + top_front) / 2, top_front, bottom_front, (bottom_back + bottom_front) / 2])


def paint(canvas: np.ndarray, polygon: np.ndarray) -> None:
    """Raise a canvas (rows, columns) to the share of each pixel that a convex polygon (n, 2) (column, row) covers."""
    rows, columns = canvas.shape
    low = np.maximum(np.floor(polygon.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(polygon.max(axis=0)).astype(int) + 2, (columns, rows))
    if (high <= low).any():
        return
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    following = np.roll(polygon, -1, axis=0)
    turn = np.sign(np.sum(polygon[:, 0] * following[:, 1] - following[:, 0] * polygon[:, 1]))
    inside = np.full(x.shape, np.inf)
    for start, end in zip(polygon, following, strict=True):
        edge = end - start
        length = max(float(np.linalg.norm(edge)), 1e-6)
        distance = turn * (edge[0] * (y - start[1]) - edge[1] * (x - start[0])) / length
        inside = np.minimum(inside, distance)
    window = canvas[low[1] : high[1], low[0] : high[0]]
    np.maximum(window, np.clip(inside + 0.5, 0.0, 1.0), out=window)


def spoilt(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a view (0..1) with another exposure, noise, blur, collimation, and metal, each at random."""
    pixels = pixels ** float(np.exp(rng.uniform(-0.6, 0.6)))
    if rng.random() < 0.5:
        ramp = np.add.outer(*[np.linspace(-1, 1, size) * rng.uniform(-0.3, 0.3) for size in pixels.shape])
        pixels = pixels * np.exp(ramp)
    if rng.random() < 0.3:
        pixels = ndimage.gaussian_filter(pixels, rng.uniform(0.3, 1.2))
    if rng.random() < 0.3:
        pixels = pixels + 0.7 * (pixels - ndimage.gaussian_filter(pixels, rng.uniform(1.0, 4.0)))
    if rng.random() < 0.15:
        pixels = _with_metal(pixels, rng)
    if rng.random() < 0.25:
        pixels = _collimated(pixels, rng)
    return pixels + rng.normal(0, rng.uniform(0, 0.04), pixels.shape)


def _centre(film: Film, config: ViewConfig, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return the middle of a view on its film (column, row), and the height of the vertebra there."""
    count = len(film.levels)
    ends = [0, 1, 2, count - 3, count - 2, count - 1]
    place = ends[rng.integers(len(ends))] if rng.random() < config.ends else int(rng.integers(count))
    corners = film.corners[place]
    height = float(np.linalg.norm(corners[:2].mean(axis=0) - corners[2:].mean(axis=0)))
    if rng.random() < config.anywhere:
        return rng.uniform(0, 1, 2) * film.pixels.shape[::-1], height
    return corners.mean(axis=0) + rng.normal(0, 1.5, 2) * height, height


def _matrix(scale: float, config: ViewConfig, rng: np.random.Generator) -> np.ndarray:
    """Return what maps film coordinates (column, row) to view coordinates, without the shift."""
    angle = np.deg2rad(rng.normal(0, config.tilt_deg / 2) if rng.random() < 0.8 else rng.uniform(-1, 1) * 30)
    stretch = float(np.exp(rng.normal(0, 0.07)))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag([mirror * scale * stretch, scale / stretch])


def _sampled(
    pyramid: list[np.ndarray], to_film: np.ndarray, offset: np.ndarray, bend: Bend, shape: tuple[int, int]
) -> np.ndarray:
    """Return the pixels (0..1) of a view; what lies outside of the film is 0."""
    step = float(np.sqrt(abs(np.linalg.det(to_film))))
    level = int(np.clip(np.round(np.log2(max(step, 1e-6))), 0, len(pyramid) - 1))
    factor = 2.0**level
    points = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1)
    looked = (bend.moved(points) @ to_film.T + offset + 0.5) / factor - 0.5
    return np.asarray(ndimage.map_coordinates(pyramid[level], looked.transpose(2, 0, 1)[::-1], order=1), np.float32)


def _pyramid(pixels: np.ndarray) -> list[np.ndarray]:
    levels = [pixels.astype(np.float32) / 255]
    for _ in range(_PYRAMID - 1):
        last = levels[-1][: levels[-1].shape[0] // 2 * 2, : levels[-1].shape[1] // 2 * 2]
        levels.append((last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / 4)
    return levels


def _with_metal(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a few screws and rods, brighter than anything else."""
    pixels = pixels.copy()
    bright = np.percentile(pixels, 99.5)
    for _ in range(int(rng.integers(1, 5))):
        start = rng.uniform(0, 1, 2) * pixels.shape[::-1]
        way = rng.normal(0, 1, 2)
        along = way / np.linalg.norm(way) * rng.uniform(10, 80)
        across = np.array([-along[1], along[0]]) / np.linalg.norm(along) * rng.uniform(1, 4)
        rod = np.zeros(pixels.shape, np.float32)
        paint(rod, np.array([start, start + along, start + along + across, start + across]))
        pixels = pixels * (1 - rod) + bright * rod
    return pixels


def _collimated(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover one or two sides, black or (as MONOCHROME1 films are) bright."""
    pixels = pixels.copy()
    value = 0.0 if rng.random() < 0.6 else float(pixels.max())
    for _ in range(int(rng.integers(1, 3))):
        axis, share = int(rng.integers(2)), rng.uniform(0.02, 0.2)
        size = int(share * pixels.shape[axis])
        if size:
            index: list[slice] = [slice(None), slice(None)]
            index[axis] = slice(0, size) if rng.random() < 0.5 else slice(-size, None)
            pixels[tuple(index)] = value
    return pixels
