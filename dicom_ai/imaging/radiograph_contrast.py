"""A radiograph as the vertebra models see it: the film as it is exposed, and what stands out from its surroundings.

Exposure differs by a factor of ten between neck and pelvis, and collimation adds edges that have nothing to do with
the patient. The first channel keeps the exposure (percentiles to 0..1), the second one divides it out: each pixel less
the mean around it, over the spread around it. Both are computed on the grid of the model, in training as in use.
"""

import numpy as np
from scipy import ndimage

CHANNELS = 2
AROUND_PX = 14.0
"""Standard deviation of the window of the second channel: about half a vertebra on the model's grid."""

_PERCENTILES = (1.0, 99.0)
_LEAST_SPREAD = 0.02


def two_channels(pixels: np.ndarray) -> np.ndarray:
    """Return (2, rows, columns) float32 from a finite film (rows, columns): exposure less 0.5, and local contrast."""
    low, high = np.percentile(pixels, _PERCENTILES)
    exposure = np.clip((pixels - low) / max(float(high - low), 1e-6), 0.0, 1.0).astype(np.float32)
    mean = ndimage.gaussian_filter(exposure, AROUND_PX)
    spread = np.sqrt(np.maximum(ndimage.gaussian_filter(exposure**2, AROUND_PX) - mean**2, 0.0))
    contrast = np.clip((exposure - mean) / (spread + _LEAST_SPREAD), -4.0, 4.0) / 2
    return np.stack([exposure - 0.5, contrast]).astype(np.float32)
