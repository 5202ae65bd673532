"""Random numbers of one training sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Dice:
    """numpy draws choices, torch draws fields; both are seeded by the sample."""

    rng: np.random.Generator
    generator: torch.Generator

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self.rng.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between low and high."""
        return float(self.rng.uniform(low, high))

    def noise(self, *shape: int) -> Tensor:
        """Return standard normal noise."""
        return torch.randn(*shape, generator=self.generator)

    def smooth(self, shape: Sequence[int], cells: Sequence[int]) -> Tensor:
        """Return a smooth field of about unit amplitude with so many cells per axis, shape (*shape)."""
        coarse = self.noise(1, 1, *[max(2, int(c)) for c in cells])
        return F.interpolate(coarse, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]
