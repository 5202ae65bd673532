"""What a scanner and a resampler make of a scene: bias, ghosts, thick slices, noise, field of view, z-score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dicom_ai.training.data.dice import Dice


@dataclass(slots=True)
class Scene:
    """What lies in the patch before it is scanned, shape (D, H, W) each. inside: where the case has voxels."""

    image: Tensor
    cord: Tensor
    inside: Tensor


@dataclass(frozen=True, slots=True)
class Sample:
    """image, target: float32, shape (1, *patch). target: share of each voxel that is cord."""

    image: Tensor
    target: Tensor


def acquired(scene: Scene, *, real: bool, dice: Dice) -> Sample:
    """Scan a scene: bias, ghosts, thick slices, noise, gamma; then cut the field of view and normalise."""
    image, cord, shape = scene.image, scene.cord, scene.image.shape
    if real:
        image = _remapped(image, dice)
    if dice.chance(0.7):
        image = image * torch.exp(dice.uniform(0, 0.5) * dice.smooth(shape, (3, 3, 3)))
    if dice.chance(0.12):
        axis, shift = int(dice.rng.integers(0, 2)), int(dice.rng.integers(6, 25))
        image = image + dice.uniform(0.03, 0.2) * torch.roll(image, shift, axis)
    spacing = _acquisition_mm(dice)
    low = [max(1, round(n / s)) for n, s in zip(shape, spacing, strict=True)]
    image, cord = (_averaged(x, low) for x in (image, cord))
    blur = dice.uniform(0.25, 0.6) if dice.chance(0.2 if real else 0.4) else 0.0
    if blur > 0:
        image = _blurred(image, blur)
    level = float(image.std()) * (dice.uniform(0.0, 0.08) if real else dice.uniform(0.0, 0.1))
    image = image + level * dice.noise(*image.shape)
    image, cord = (F.interpolate(x[None, None], size=tuple(shape), mode="trilinear")[0, 0] for x in (image, cord))
    low_value, high_value = float(image.min()), float(image.max())
    image = ((image - low_value) / max(high_value - low_value, 1e-6)) ** float(np.exp(dice.rng.normal(0, 0.25)))
    inside = scene.inside * _field_of_view(shape, cord, dice)
    return Sample(normalised(image, inside)[None], (cord * inside)[None])


def normalised(image: Tensor, inside: Tensor) -> Tensor:
    """Clip to the 0.5 and 99.5 percentiles and z-score, both over the field of view; outside is 0."""
    values = image[inside > 0.5]
    if values.numel() < 2:
        return torch.zeros_like(image)
    sample = values[:: max(1, values.numel() // 20_000)]
    low, high = torch.quantile(sample, torch.tensor([0.005, 0.995]))
    clipped = image.clamp(float(low), float(high))
    values = values.clamp(float(low), float(high))
    return (clipped - values.mean()) / (values.std() + 1e-6) * inside


def _remapped(image: Tensor, dice: Dice) -> Tensor:
    """Bend the brightness of a real image by a random rising curve; sometimes invert it."""
    if dice.chance(0.5):
        knots = np.concatenate([[0.0], np.cumsum(dice.rng.uniform(0.3, 1.0, 5))])
        curve = torch.from_numpy(knots / knots[-1]).float()
        place = image.clamp(0, 1) * 5
        low = place.long().clamp(max=4)
        image = curve[low] + (place - low) * (curve[low + 1] - curve[low])
    return 1 - image if dice.chance(0.12) else image


def _acquisition_mm(dice: Dice) -> tuple[float, float, float]:
    """Return voxel sizes over the patch's, (slice, row, column): isotropic, axial, sagittal or coronal slices."""
    kind = dice.rng.choice(["isotropic", "axial", "sagittal", "coronal"], p=[0.65, 0.2, 0.12, 0.03])
    in_plane = dice.uniform(1.0, 1.4) if dice.chance(0.5) else 1.0
    thick = dice.uniform(1.5, 4.5)
    match str(kind):
        case "axial":
            return dice.uniform(2.0, 8.0), in_plane, in_plane
        case "sagittal":
            return in_plane, in_plane, thick
        case "coronal":
            return in_plane, thick, in_plane
        case _:
            return in_plane, in_plane, in_plane


def _averaged(array: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(array[None, None], size=tuple(size), mode="area")[0, 0]


def _blurred(image: Tensor, width: float) -> Tensor:
    """Smooth the two in-slice axes a little, as a receiver filter would."""
    side = float(np.exp(-0.5 / width**2))
    kernel = torch.tensor([side, 1.0, side]) / (1 + 2 * side)
    x = image[None, None]
    x = F.conv3d(F.pad(x, (0, 0, 1, 1, 0, 0), mode="replicate"), kernel.view(1, 1, 1, 3, 1))
    return F.conv3d(F.pad(x, (1, 1, 0, 0, 0, 0), mode="replicate"), kernel.view(1, 1, 1, 1, 3))[0, 0]


def _field_of_view(shape: Sequence[int], cord: Tensor, dice: Dice) -> Tensor:
    """Return 1 inside a box, 0 outside: whole, tight around the cord, or cut anywhere, also through the cord."""
    box = torch.ones(tuple(shape))
    kind = dice.uniform(0, 1)
    if kind < 0.75:
        return box
    inside = torch.nonzero(cord > 0.5)
    tight = kind < 0.9 and len(inside) > 0
    for axis, size in enumerate(shape):
        if tight and axis > 0:
            low = int(inside[:, axis].min()) - int(dice.rng.integers(2, 20))
            high = int(inside[:, axis].max()) + int(dice.rng.integers(3, 20))
        else:
            low = int(dice.uniform(-0.5, 0.35) * size)
            high = size - int(dice.uniform(-0.5, 0.35) * size)
        keep = torch.zeros(size)
        keep[max(0, low) : max(high, max(0, low) + 8)] = 1
        box = box * keep.view([-1 if a == axis else 1 for a in range(3)])
    return box
