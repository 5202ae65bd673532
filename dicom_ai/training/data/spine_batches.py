"""Training batches of sagittal slices: three neighbours as channels, class codes of the middle one, random contrast.

Real volumes, single slices and the template are cut, bent, turned and scaled alike; the template is also painted in
invented contrasts from its tissue map, and widened by invented tissue, for its field of view ends near the spine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from dicom_ai.training.data.cases import Case
from dicom_ai.training.data.spine_cases import SLICE, TEMPLATE
from dicom_ai.training.data.spine_classes import BACKGROUND, SACRUM, UNKNOWN, VERTEBRA

ROWS, COLUMNS = 192, 128
"""Shape of a training patch, millimetres and pixels alike."""
TEMPLATE_REACH_MM = 9
WIDENED = 60
LEAST_ROWS = 40
"""Of a field of view that is cut, on both sides of the cut."""


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """size: patches per batch. shares: how often each source is drawn; "painted" is the template in invented contrast.

    turn_deg, zoom: largest rotation and logarithm of the scale. neighbours_mm: range of the distance to the neighbours.
    landmarks: first and last code of what patches lie around. cut: share of patches in which the field of view ends.
    """

    size: int = 8
    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            **{"myosegmentum": 0.24, "chu": 0.18, "menezes": 0.08, "vesal": 0.16},
            **{"pam50": 0.18, "painted": 0.16},
        }
    )
    turn_deg: float = 20.0
    zoom: float = 0.3
    neighbours_mm: tuple[int, int] = (1, 5)
    landmarks: tuple[int, int] = (VERTEBRA, SACRUM)
    cut: float = 0.25


class SpineBatches:
    """Draws batches from cases; the same seed gives the same batches."""

    def __init__(self, cases: Sequence[Case], settings: BatchSettings, *, seed: int) -> None:
        self.settings = settings
        self._rng = np.random.default_rng(seed)
        self._cases: dict[str, list[Case]] = {}
        for case in cases:
            self._cases.setdefault(case.name.split("_")[0], []).append(case)
        if "pam50" in self._cases:
            self._cases["painted"] = self._cases["pam50"]
        self._sources = [source for source in settings.shares if source in self._cases]
        shares = np.array([settings.shares[source] for source in self._sources])
        self._shares = shares / shares.sum()

    def draw(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (B, 3, ROWS, COLUMNS) float32 and codes (B, ROWS, COLUMNS) int64."""
        sources = self._rng.choice(self._sources, self.settings.size, p=self._shares)
        images, codes = zip(*(self._patch(str(source)) for source in sources), strict=True)
        image = recontrast(torch.stack(images).to(device), self._rng)
        return normalised(image, self._rng), torch.stack(codes).long().to(device)

    def _patch(self, source: str) -> tuple[torch.Tensor, torch.Tensor]:
        choices = self._cases[source]
        case = choices[self._rng.integers(len(choices))]
        image, codes = self._slices(case, painted=source == "painted")
        bent = case.kind == TEMPLATE
        centre = self._centre(codes)
        padding, beyond = "zeros", BACKGROUND
        if len(codes) >= 2 * LEAST_ROWS and self._rng.random() < self.settings.cut:
            kept, centre = self._cut(len(codes), centre)
            image, codes = image[:, kept], codes[kept]
            padding, beyond = "border", UNKNOWN
        grid = self._grid(codes.shape, centre, bent=bent)
        sampled = F.grid_sample(image[None], grid, padding_mode=padding, align_corners=False)[0]
        label = F.grid_sample((codes[None, None] + 1).float(), grid, mode="nearest", align_corners=False)[0, 0]
        return sampled, torch.where(label < 1, beyond, label - 1)

    def _cut(self, rows: int, centre: np.ndarray) -> tuple[slice, np.ndarray]:
        """Return the rows of a field of view that ends somewhere in the patch, and where to look in them.

        So the network sees vertebrae that the edge of an image cuts through, smeared beyond it as sliding_window() pads
        them: else the last one of a cropped image may look like a sacrum. What it says of the smear does not matter.
        """
        end = int(np.clip(centre[0] + self._rng.uniform(-0.4, 0.4) * ROWS, LEAST_ROWS, rows - LEAST_ROWS))
        if self._rng.random() < 0.5:
            return slice(0, end), centre
        return slice(end, rows), centre - (end, 0)

    def _slices(self, case: Case, *, painted: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a slice with its neighbours (3, H, W) in 0..1 and its codes (H, W)."""
        count = len(case.arrays["codes"])
        low, high = (
            (count // 2 - TEMPLATE_REACH_MM, count // 2 + TEMPLATE_REACH_MM)
            if case.kind == TEMPLATE
            else (0, count - 1)
        )
        middle = int(self._rng.integers(low, high + 1))
        apart = int(self._rng.integers(self.settings.neighbours_mm[0], self.settings.neighbours_mm[1] + 1))
        places = [min(max(middle + step, 0), count - 1) for step in (-apart, 0, apart)]
        codes = torch.from_numpy(case.arrays["codes"][middle].astype(np.int16))
        if painted:
            image = paint(case.arrays["tissue"][places], self._rng)
        else:
            image = torch.from_numpy(case.arrays["image"][places].astype(np.float32) / 255)
        if case.kind == TEMPLATE:
            image, codes = widen(image, self._rng), F.pad(codes, (WIDENED, WIDENED))
        if case.kind == SLICE:
            shifts = self._rng.integers(-1, 2, 2)
            image = torch.stack([image[0].roll(int(shifts[0]), 1), image[0], image[0].roll(int(shifts[1]), 1)])
        return image, codes

    def _centre(self, codes: torch.Tensor) -> np.ndarray:
        """Return where to look, (row, column): near a labelled voxel, most often."""
        first, last = self.settings.landmarks
        places = torch.nonzero((codes >= first) & (codes <= last))
        if not len(places) or self._rng.random() < 0.1:
            return self._rng.uniform(0, codes.shape)
        place = places[self._rng.integers(len(places))].numpy()
        return np.asarray(place + self._rng.uniform(-1, 1, 2) * (60, 30))

    def _grid(self, shape: Sequence[int], centre: np.ndarray, *, bent: bool) -> torch.Tensor:
        """Return where the patch lies in the slice, in the units of grid_sample: (1, ROWS, COLUMNS, 2)."""
        rng, settings = self._rng, self.settings
        rows, columns = np.meshgrid(
            np.arange(ROWS) - (ROWS - 1) / 2, np.arange(COLUMNS) - (COLUMNS - 1) / 2, indexing="ij"
        )
        if bent:
            columns = columns + rng.uniform(0, 14) * np.sin(
                np.pi * rows / rng.uniform(90, 200) + rng.uniform(0, 2 * np.pi)
            )
        waves = smooth((2, ROWS, COLUMNS), cells=6, rng=rng).numpy() * rng.uniform(0, 2.5)
        turn = np.deg2rad(rng.uniform(-1, 1) * settings.turn_deg)
        stretch = np.exp(rng.uniform(-1, 1) * settings.zoom + rng.uniform(-0.08, 0.08, 2))
        rows, columns = (rows + waves[0]) * stretch[0], (columns + waves[1]) * stretch[1]
        there = np.stack(
            [
                np.cos(turn) * columns - np.sin(turn) * rows + centre[1],
                np.sin(turn) * columns + np.cos(turn) * rows + centre[0],
            ],
            axis=-1,
        )
        size = np.array([shape[1], shape[0]])
        return torch.from_numpy((2 * there + 1) / size - 1).float()[None]


def smooth(shape: tuple[int, int, int], *, cells: int, rng: np.random.Generator) -> torch.Tensor:
    """Return smooth noise of about unit variance, (n, H, W)."""
    coarse = torch.from_numpy(rng.standard_normal((1, shape[0], cells, cells)).astype(np.float32))
    return F.interpolate(coarse, size=shape[1:], mode="bicubic", align_corners=False)[0]


def regions(shape: tuple[int, int], rng: np.random.Generator) -> torch.Tensor:
    """Return invented tissue, (H, W) in 0..1: patches of one value each, as fat, muscle and air make them."""
    field_ = smooth((1, *shape), cells=int(rng.integers(5, 14)), rng=rng)[0]
    edges = torch.from_numpy(np.sort(rng.uniform(-1.5, 1.5, 4)).astype(np.float32))
    values = torch.from_numpy(rng.uniform(0, 1, 5).astype(np.float32))
    fine = smooth((1, *shape), cells=40, rng=rng)[0] * 0.04
    return (values[torch.bucketize(field_, edges)] + fine).clamp(0, 1)


def paint(tissue: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Return an image in an invented contrast from a tissue map (spine_template.TISSUES): both (3, H, W)."""
    shape = tissue.shape
    label = torch.from_numpy(tissue.astype(np.int64))
    values = torch.from_numpy(rng.uniform(0.05, 1, 6).astype(np.float32))
    values[3] = values[1] * float(rng.uniform(0.7, 1.2))
    image = values[label] * (1 + 0.1 * smooth(shape, cells=50, rng=rng) + 0.15 * smooth(shape, cells=8, rng=rng))
    around = regions((shape[1], shape[2]), rng)
    image = torch.where(label == 0, around[None].expand_as(image), image)
    bone = (label == 1).float()
    inner = -F.max_pool2d(-bone[None], 3, stride=1, padding=1)[0]
    rim = float(rng.uniform(0.1, 1.0))
    image = torch.where((bone > 0) & (inner == 0), image * rim, image)
    return F.avg_pool2d(F.pad(image[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0].clamp(0, 1)


def widen(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return a (3, H, W) image widened in front and behind by invented tissue, blended over ten columns."""
    height, width = image.shape[1:]
    wide = F.pad(image[None], (WIDENED, WIDENED, 0, 0), mode="replicate")[0]
    column = torch.arange(width + 2 * WIDENED, dtype=torch.float32)
    inside = ((column - WIDENED + 5).clamp(0, 10) / 10) * ((WIDENED + width + 5 - column).clamp(0, 10) / 10)
    tissue = regions((height, width + 2 * WIDENED), rng) * float(image.max()) * float(rng.uniform(0.2, 1.0))
    return wide * inside + tissue * (1 - inside)


def recontrast(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return the images (B, 3, H, W) in 0..1 with another grey curve, bias field, noise and sharpness each."""
    height, width = image.shape[2:]
    result = []
    for one in image:
        curved = rng.random() < 0.45
        one = _curve(one, rng) if curved else one.clamp(min=0) ** float(np.exp(rng.normal() * 0.35))
        bias = smooth((1, height, width), cells=3, rng=rng).to(image.device)
        one = one * torch.exp(bias * float(rng.uniform(0, 0.3)))
        if rng.random() < 0.35:
            coarse = float(rng.uniform(0.5, 1.0))
            small = F.interpolate(one[None], scale_factor=coarse, mode="area")
            one = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)[0]
        noise = torch.from_numpy(rng.standard_normal(one.shape).astype(np.float32)).to(image.device)
        result.append(one + noise * float(rng.uniform(0, 0.06)))
    return torch.stack(result)


def _curve(one: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return one image through a random piecewise linear grey curve, monotone more often than not."""
    knots = rng.uniform(0, 1, 6)
    if rng.random() < 0.6:
        knots = np.sort(knots)
    values = torch.from_numpy(knots.astype(np.float32)).to(one.device)
    place = one.clamp(0, 1) * 5
    left = place.floor().clamp(max=4).long()
    return values[left] + (values[left + 1] - values[left]) * (place - left)


def normalised(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return the images with mean 0 and deviation 1 each, a little off: a whole slice has other ones than a patch."""
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    deviation = image.std(dim=(1, 2, 3), keepdim=True) + 1e-6
    shift, gain = (
        torch.from_numpy(rng.uniform(*bounds, (len(image), 1, 1, 1)).astype(np.float32)).to(image.device)
        for bounds in ((-0.3, 0.3), (0.7, 1.3))
    )
    return (image - mean) / deviation * gain + shift
