"""Intensities made comparable. NaN and infinities never reach a model; an image without contrast becomes zeros."""

from dataclasses import dataclass, field

import numpy as np

_FLAT = 1e-8


@dataclass(frozen=True, slots=True)
class Cleaned:
    """An array of finite float32 values, and how many values had to be replaced."""

    values: np.ndarray = field(repr=False)
    replaced: int


def finite(array: np.ndarray) -> Cleaned:
    """Replace NaN and -infinity by the smallest finite value, +infinity by the largest; by 0 where none is finite."""
    values = np.asarray(array, np.float32)
    good = np.isfinite(values)
    replaced = int(values.size - np.count_nonzero(good))
    if replaced == 0:
        return Cleaned(values, 0)
    low, high = (float(values[good].min()), float(values[good].max())) if good.any() else (0.0, 0.0)
    return Cleaned(np.nan_to_num(values, nan=low, posinf=high, neginf=low), replaced)


def percentile_clip(array: np.ndarray, low: float = 0.5, high: float = 99.5) -> np.ndarray:
    """Clip finite values to two of their percentiles; float32."""
    bottom, top = np.percentile(array, (low, high))
    return np.clip(array, bottom, top).astype(np.float32, copy=False)


def zscore(array: np.ndarray) -> np.ndarray:
    """Return finite values with mean 0 and standard deviation 1 as float32; zeros for a constant image."""
    values = np.asarray(array, np.float64)
    spread = float(values.std())
    if spread < _FLAT * max(1.0, float(np.abs(values).max(initial=0.0))):
        return np.zeros(values.shape, np.float32)
    return ((values - values.mean()) / spread).astype(np.float32)


def minmax(array: np.ndarray) -> np.ndarray:
    """Return finite values stretched to 0..1 as float32; zeros for a constant image."""
    values = np.asarray(array, np.float32)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if high - low < _FLAT * max(1.0, abs(low), abs(high)):
        return np.zeros(values.shape, np.float32)
    return (values - low) / (high - low)
