"""Images for training the cord model, made from cases: any contrast, resolution and field of view, a soft target.

One sample is a patch. Its steps, in the order in which a scanner and a resampler would do them:

    place a deformed grid in a case -> tissues to signal (random contrast, or a real image) -> lesions, bias, ghosts
    -> average over thick slices -> noise -> back to the patch's grid by linear interpolation -> cut the field of view
    -> percentile clip and z-score

The target goes through the same averaging and interpolation, so it stays the share of each voxel that is cord.
Sample number i of a seed is always the same, whoever makes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dicom_ai.imaging.neck_tissues import CONTRASTS, Tissue
from dicom_ai.training.data.cases import Case
from dicom_ai.training.data.dice import Dice
from dicom_ai.training.data.scan import Sample, Scene, acquired

LABELS = 32
"""Room for tissue values: those of the case below 16, invented surroundings from 16."""
_SURROUNDINGS = 16
EXACT_SHARE = 0.65
"""Share of samples whose voxels lie on those of their case: not interpolated, borders stay as sharp as scanned."""


@dataclass(frozen=True, slots=True)
class SynthesisConfig:
    """How samples are drawn; shares are probabilities.

    patch: voxels (slice, row, column). fine_mm, coarse_mm: voxel size of the fine and of the coarse pass.
    coarse_share: of samples at coarse_mm. weights: how often each group of cases is drawn, see Bank.
    realistic: share of invented images whose tissues are ordered as in a real contrast; the others are impossible ones.
    contrast: only images like this row of neck_tissues.CONTRASTS; "" is any contrast, also impossible ones.
    """

    patch: tuple[int, int, int] = (64, 48, 48)
    fine_mm: float = 1.0
    coarse_mm: float = 2.0
    coarse_share: float = 0.3
    realistic: float = 0.85
    contrast: str = ""
    weights: tuple[tuple[str, float], ...] = (
        ("template", 0.24),
        ("masks", 0.04),
        ("formula", 0.4),
        ("neck", 0.2),
        ("no_cord", 0.06),
        ("texture", 0.03),
        ("nothing", 0.03),
    )


@dataclass(frozen=True)
class Bank:
    """Cases by group, and for each the points of its cord's axis, in mm along the case's axes, shape (n, 3)."""

    groups: dict[str, list[Case]]
    axes_mm: dict[str, np.ndarray]

    @classmethod
    def of(cls, cases: Sequence[Case]) -> "Bank":
        """Sort cases into groups: template, masks, formula (labels), neck, no_cord (images), texture."""
        groups: dict[str, list[Case]] = {}
        axes = {}
        for case in cases:
            groups.setdefault(_group_of(case), []).append(case)
            if "cord" in case.arrays:
                axes[case.name] = _axis_mm(case)
        return cls(groups, axes)


def make_sample(bank: Bank, config: SynthesisConfig, *, seed: int, number: int) -> Sample:
    """Return sample `number` of a seed."""
    rng = np.random.default_rng((seed, number))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    dice = Dice(rng, generator)
    coarse = dice.chance(config.coarse_share)
    voxel_mm = config.coarse_mm if coarse else config.fine_mm
    names = [name for name, _ in config.weights if name in bank.groups or name == "nothing"]
    weights = np.array([weight for name, weight in config.weights if name in names])
    group = str(rng.choice(names, p=weights / weights.sum()))
    if group == "nothing":
        scene = _nothing(config.patch, dice)
    else:
        case = bank.groups[group][int(rng.integers(len(bank.groups[group])))]
        scene = _scene(case, bank.axes_mm.get(case.name), config, voxel_mm, dice)
    return acquired(scene, real=group in ("neck", "no_cord"), dice=dice)


@dataclass(frozen=True, slots=True)
class _Raster:
    """Where the points of the patch lie in the window of a case: [-1, 1], shape (1, D, H, W, 3); pitch_mm apart.

    inside: bool (D, H, W), where the case has voxels.
    """

    unit: Tensor
    inside: Tensor
    pitch_mm: float


def _group_of(case: Case) -> str:
    if case.kind == "texture":
        return "texture"
    if case.kind == "image":
        return "neck" if "cord" in case.arrays else "no_cord"
    if "tissue" not in case.arrays:
        return "masks"
    return "formula" if case.person.startswith("formula") else "template"


def _axis_mm(case: Case) -> np.ndarray:
    points = []
    for index, plane in enumerate(case.arrays["cord"]):
        total = plane.sum(dtype=float)
        if total > 255 * 10:
            rows, columns = np.arange(plane.shape[0]), np.arange(plane.shape[1])
            points.append((index, plane.sum(1) @ rows / total, plane.sum(0) @ columns / total))
    return np.array(points) * case.spacing_mm


def _nothing(patch: tuple[int, int, int], dice: Dice) -> Scene:
    """Noise, a constant, blobs, or tubes of fluid without a cord."""
    image = torch.zeros(patch) + dice.uniform(0.0, 1.0)
    if dice.chance(0.7):
        cells = int(dice.rng.integers(2, 12))
        image = torch.round(dice.smooth(patch, (cells,) * 3) * dice.uniform(1, 3))
    if dice.chance(0.5):
        tube, _ = _tube(_mesh(patch, 1.0), dice, radius=dice.uniform(3, 12))
        image = image + tube * dice.uniform(-2, 2)
    image = image + dice.noise(*patch) * dice.uniform(0.0, 0.5)
    return Scene(image, torch.zeros(patch), torch.ones(patch))


def _scene(case: Case, axis_mm: np.ndarray | None, config: SynthesisConfig, voxel_mm: float, dice: Dice) -> Scene:
    """Place a deformed grid in a case and give its tissues a signal."""
    step = 1.0 if voxel_mm <= 1.0 or dice.chance(0.7) else 0.5  # a finer raster inside coarse voxels, sometimes
    raster = tuple(round(size / step) for size in config.patch)
    real = case.kind == "image" and axis_mm is not None
    points = _placed(case, axis_mm, (raster, voxel_mm * step), dice, stretch=real)
    index = points / case.spacing_mm
    size = torch.tensor(next(iter(case.arrays.values())).shape, dtype=torch.float32)
    if case.kind == "labels":  # a cord goes on beyond the ends of its case
        index[..., 0] = index[..., 0].clamp(0.0, float(size[0] - 1))
    inside = ((index > -0.5) & (index < size - 0.5)).all(dim=-1)
    window, index = _window(case, index)
    image, cord = _signal(case, window, _Raster(index, inside, voxel_mm * step), dice, config)
    covered = inside.float() if case.kind == "image" else torch.ones(raster)
    if step < 1.0:
        image, cord, covered = (F.avg_pool3d(x[None, None], 2)[0, 0] for x in (image, cord, covered))
    return Scene(image, cord, (covered > 0.5).float())


def _mesh(shape: Sequence[int], voxel_mm: float) -> Tensor:
    """Return points of a grid around 0 in mm, shape (*shape, 3)."""
    axes = [(torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * voxel_mm for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def _placed(
    case: Case, axis_mm: np.ndarray | None, grid: tuple[tuple[int, ...], float], dice: Dice, *, stretch: bool
) -> Tensor:
    """Return the points (mm in the case) of a rotated, scaled, bent grid, shape (*raster, 3)."""
    raster, voxel_mm = grid
    extent = np.array(next(iter(case.arrays.values())).shape) * case.spacing_mm
    reach = 0.5 * voxel_mm * np.array(raster)
    if axis_mm is None or dice.chance(0.12):
        centre = dice.rng.uniform(0.1, 0.9, 3) * extent
    else:
        wide = dice.chance(0.4)
        offset = dice.rng.uniform(-0.8, 0.8, 3) * reach if wide else dice.rng.normal(0, 0.15, 3) * reach
        centre = axis_mm[int(dice.rng.integers(len(axis_mm)))] + offset
    if dice.chance(EXACT_SHARE):
        first = np.rint((centre - _half_mm(raster, voxel_mm)) / case.spacing_mm) * case.spacing_mm
        return _mesh(raster, voxel_mm) + torch.tensor(first + _half_mm(raster, voxel_mm), dtype=torch.float32)
    angles = np.deg2rad(dice.rng.normal(0, (6.0, 5.0, 9.0)).clip(-25, 25))
    scale = dice.uniform(0.8, 1.25) * dice.rng.uniform(0.92, 1.08, 3)
    if stretch:  # sixteen slices of 1 mm stand for a stack of thicker ones
        scale[0] /= dice.uniform(1.0, 4.0)
        centre[0] = extent[0] * dice.uniform(0.3, 0.7)
        angles[1:] = 0.3 * angles[1:]
    flip = np.array([1.0, 1.0, -1.0 if dice.chance(0.5) else 1.0])
    matrix = torch.tensor(_rotation(angles) @ np.diag(scale * flip), dtype=torch.float32)
    mesh = _mesh(raster, voxel_mm)
    if dice.chance(0.8):
        amplitude = dice.uniform(0.5, 3.5)
        cells = [max(3, round(size * voxel_mm / 22)) for size in raster]
        bend = torch.stack([dice.smooth(raster, cells) for _ in range(3)], dim=-1)
        mesh = mesh + amplitude * bend
    return mesh @ matrix.T + torch.tensor(centre, dtype=torch.float32)


def _half_mm(raster: tuple[int, ...], voxel_mm: float) -> np.ndarray:
    """Return the distance from the first voxel of a grid to its middle."""
    return (np.array(raster) - 1) / 2 * voxel_mm


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Return the rotation by angles around the slice, row and column axes."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def _window(case: Case, index: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Cut from a case what the points need, as float (1, 1, d, h, w); return it, and the points in [-1, 1] of it."""
    shape = next(iter(case.arrays.values())).shape
    flat = index.reshape(-1, 3)
    low = [int(np.clip(np.floor(v) - 1, 0, n - 2)) for v, n in zip(flat.amin(0).tolist(), shape, strict=True)]
    high = [int(np.clip(np.ceil(v) + 2, a + 2, n)) for v, a, n in zip(flat.amax(0).tolist(), low, shape, strict=True)]
    cut = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    window = {k: torch.from_numpy(np.ascontiguousarray(v[cut])).float()[None, None] for k, v in case.arrays.items()}
    size = torch.tensor([b - a for a, b in zip(low, high, strict=True)], dtype=torch.float32)
    unit = (index - torch.tensor(low, dtype=torch.float32) + 0.5) / size * 2 - 1
    return window, unit.flip(-1)[None]  # grid_sample wants (column, row, slice)


def _signal(
    case: Case, window: dict[str, Tensor], raster: _Raster, dice: Dice, config: SynthesisConfig
) -> tuple[Tensor, Tensor]:
    """Return the image before the scanner, and the cord, both on the raster."""
    unit, inside = raster.unit, raster.inside
    shape = tuple(unit.shape[1:4])
    soft = {
        key: F.grid_sample(window[key], unit, align_corners=False)[0, 0] / 255
        for key in ("cord", "canal", "grey")
        if key in window
    }
    cord = soft.get("cord", torch.zeros(shape))
    if case.kind == "image":
        image = F.grid_sample(window["image"], unit, padding_mode="border", align_corners=False)[0, 0] / 255
        return image, cord
    if "tissue" in window:
        tissue = F.grid_sample(window["tissue"], unit, mode="nearest", align_corners=False)[0, 0].long()
        tissue = torch.where(inside, tissue, _surroundings(shape, dice))
    else:
        tissue = _surroundings(shape, dice)
    canal = torch.maximum(soft.get("canal", cord), cord)
    if case.kind == "texture" and dice.chance(0.75):
        cord, canal = _drawn_cord(_mesh(shape, raster.pitch_mm), dice)
    means, spreads = _contrast(case, dice, config)
    texture = 0.7 * dice.noise(*shape) + 0.6 * dice.smooth(shape, [max(2, n // 4) for n in shape])
    image = means[tissue] + spreads[tissue] * texture
    return _with_cord(image, cord, canal, soft.get("grey"), (means, texture, dice)), cord


def _surroundings(shape: tuple[int, ...], dice: Dice) -> Tensor:
    """Return invented tissue: blobs of a few values."""
    if dice.chance(0.15):
        return torch.full(shape, _SURROUNDINGS)
    cells = int(dice.rng.integers(3, 12))
    field = dice.smooth(shape, [cells, cells, cells])
    if dice.chance(0.5):
        field = field + 0.6 * dice.smooth(shape, [3 * cells] * 3)
    return ((field + 2.0) * 1.6).clamp(0, 7).long() + _SURROUNDINGS


def _tube(mesh: Tensor, dice: Dice, radius: float) -> tuple[Tensor, Tensor]:
    """Return a soft bent tube along the slices, and each point's distance from its axis over the radius."""
    height = mesh[..., 0] / 32.0
    bend = [dice.uniform(-12, 12) + dice.uniform(-8, 8) * height + dice.uniform(-4, 4) * height**2 for _ in range(2)]
    ratio = dice.uniform(0.6, 0.95)
    swell = radius * (1 + 0.12 * torch.sin(height * dice.uniform(0.5, 2.0) + dice.uniform(0, 6)))
    distance = torch.hypot((mesh[..., 1] - bend[0]) / ratio, mesh[..., 2] - bend[1])
    pitch = float(mesh[-1, -1, -1, 2] - mesh[-1, -1, -2, 2])
    return ((swell - distance) * ratio / pitch + 0.5).clamp(0, 1), distance


def _drawn_cord(mesh: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Draw a tube for a cord and a wider one around it into any tissue."""
    radius, margin = dice.uniform(3.6, 7.5), dice.uniform(1.5, 6.0)
    state = dice.rng.bit_generator.state
    cord, _ = _tube(mesh, dice, radius)
    dice.rng.bit_generator.state = state  # the same bends for both
    canal, _ = _tube(mesh, dice, radius + margin)
    return cord, torch.maximum(canal, cord)


def _contrast(case: Case, dice: Dice, config: SynthesisConfig) -> tuple[Tensor, Tensor]:
    """Return the mean signal and its spread for every tissue value; CSF and cord are the last two but one and last."""
    means = torch.from_numpy(dice.rng.random(LABELS)).float()
    spreads = torch.from_numpy(dice.rng.random(LABELS) * dice.uniform(0.02, 0.12)).float()
    csf, cord = dice.rng.random(2)
    while abs(csf - cord) < 0.12:
        csf, cord = dice.rng.random(2)
    if dice.chance(config.realistic) or config.contrast:
        table = CONTRASTS[config.contrast or str(dice.rng.choice(list(CONTRASTS)))]
        known = np.array([table[tissue] for tissue in Tissue]) + dice.rng.normal(0, 0.07, len(Tissue))
        csf, cord = table[Tissue.CSF] + dice.rng.normal(0, 0.08), table[Tissue.CORD] + dice.rng.normal(0, 0.06)
        if case.person.startswith("formula"):
            means[: len(Tissue)] = torch.from_numpy(known).float().clamp(0)
        else:  # clusters are ordered by brightness in T2; in T1 and others they are shuffled or inverted
            ramp = np.linspace(0.03, 0.9, 8)
            ramp = ramp if dice.chance(0.6) else ramp[::-1].copy()
            means[:8] = torch.from_numpy(ramp + dice.rng.normal(0, 0.1, 8)).float().clamp(0)
    if dice.chance(0.5):  # much of what surrounds a neck is air
        means[_SURROUNDINGS : _SURROUNDINGS + 3] *= 0.1
    means[LABELS - 2], means[LABELS - 1] = float(csf), float(cord)
    return means, spreads


def _with_cord(
    image: Tensor, cord: Tensor, canal: Tensor, grey: Tensor | None, paint: tuple[Tensor, Tensor, Dice]
) -> Tensor:
    """Mix CSF and cord into the image by their shares; grey matter and lesions within the cord."""
    means, texture, dice = paint
    shape = image.shape
    csf_signal = means[LABELS - 2] * (1 + dice.uniform(0, 0.25) * dice.smooth(shape, [n // 8 + 2 for n in shape]))
    cord_signal = means[LABELS - 1] + dice.uniform(0, 0.05) * texture
    if grey is not None:
        cord_signal = cord_signal + dice.rng.normal(0, 0.07) * (grey / cord.clamp(min=0.3)).clamp(0, 1)
    if dice.chance(0.25):
        cord_signal = cord_signal + _lesions(cord, dice)
    return image * (1 - canal) + csf_signal * (canal - cord) + cord_signal * cord


def _lesions(cord: Tensor, dice: Dice) -> Tensor:
    """Return a signal change of one to three soft ellipsoids centred in the cord."""
    inside = torch.nonzero(cord > 0.5)
    change = torch.zeros_like(cord)
    if len(inside) == 0:
        return change
    for _ in range(int(dice.rng.integers(1, 4))):
        centre = inside[int(dice.rng.integers(len(inside)))].float()
        sizes = dice.rng.uniform((2.5, 1.0, 1.0), (9.0, 3.0, 3.5))
        axes = [((torch.arange(n) - c) / s) ** 2 for n, c, s in zip(cord.shape, centre.tolist(), sizes, strict=True)]
        distance = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
        change = change + dice.uniform(-0.3, 0.4) * torch.exp(-0.5 * distance)
    return change
