"""Outlines of masks in the pixel coordinates of SCOORD."""

import numpy as np
from skimage.measure import find_contours


def outer_contour(mask: np.ndarray) -> np.ndarray:
    """Return the outer boundary of the largest part of a mask as (column, row) points, shape (n, 2), first = last.

    mask: bool, shape (rows, columns); at least one pixel is set, else ValueError. Pixels that touch at a corner only
    are two parts; holes are filled. Coordinates are those of SCOORD (PS3.3 C.18.6.1.2): 0, 0 is the top left corner
    of the top left pixel, whose centre is 0.5, 0.5; no point leaves the image.
    """
    return soft_contour(np.asarray(mask, dtype=np.float32), level=0.5)


def soft_contour(values: np.ndarray, *, level: float = 0.5) -> np.ndarray:
    """Return the outer boundary, at a level, of the largest part of an image of soft values, as outer_contour does.

    values: float, shape (rows, columns). The boundary is placed between pixel centres by linear interpolation.
    Raise ValueError where no value reaches the level.
    """
    padded = np.pad(np.asarray(values, dtype=np.float64), 1)
    lines = [line for line in find_contours(padded, level) if len(line) > 3]
    if not lines:
        raise ValueError(f"no value reaches {level}: there is nothing to outline")
    largest = max(lines, key=lambda line: abs(polygon_area(line)))
    # The padding moved indices by one; the centre of the pixel with index 0 lies at 0.5.
    points = largest[:, ::-1] - 0.5
    rows, columns = values.shape
    return np.clip(points, 0.0, [columns, rows])


def polygon_area(points: np.ndarray) -> float:
    """Return the signed area of a closed polygon, shape (n, 2), in the square of its unit."""
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
