"""What cases lack: tissue beneath their canal, and the butterfly of grey matter in cords made from formulas.

Arrays are as in cases: (slice, row, column) upward, backward, right to left; shares are uint8, 255 is the whole voxel.
"""

import numpy as np
import scipy.ndimage as ndi

LEAST_CORD_PX = 15
"""Cord in a slice, in voxels, below which it has no grey matter: the shape could not be told."""


def beneath_canal(tissue: np.ndarray, canal: np.ndarray, *, fluid: int) -> np.ndarray:
    """Return tissue in which the fluid of the canal is replaced by what lies nearest around it.

    The canal is painted over the tissues by its shares: where a voxel holds fluid and bone, its rest must be bone.
    """
    hole = (tissue == fluid) & (canal > 0)
    nearest = ndi.distance_transform_edt(hole, return_distances=False, return_indices=True)
    return np.asarray(tissue[tuple(nearest)])


def grey_matter(cord: np.ndarray) -> np.ndarray:
    """Return the share of grey matter in each voxel of a cord: wide front horns, slim back horns, a bridge.

    Each slice is placed by the centre and the two half axes of its cord. The widths are those of drawings of the
    cervical cord, not measured ones: an image with such a butterfly is nearer to a real T2* than one without.
    """
    grey = np.zeros(cord.shape, np.uint8)
    rows, columns = np.meshgrid(*(np.arange(size) for size in cord.shape[1:]), indexing="ij")
    for number, share in enumerate(cord.astype(float)):
        total = share.sum()
        if total < 255 * LEAST_CORD_PX:
            continue
        row, column = (share * rows).sum() / total, (share * columns).sum() / total
        half_rows = 2 * np.sqrt((share * (rows - row) ** 2).sum() / total)  # of an ellipse of the same spread
        half_columns = 2 * np.sqrt((share * (columns - column) ** 2).sum() / total)
        parts = [
            _butterfly((rows + down - row) / half_rows, np.abs(columns + aside - column) / half_columns)
            for down in (-0.33, 0.0, 0.33)
            for aside in (-0.33, 0.0, 0.33)
        ]
        grey[number] = np.rint(np.mean(parts, axis=0) * share)
    return grey


def _butterfly(back: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """Return what is grey matter at places in half axes: back from the centre, and to either side."""
    width = np.where(back < 0, 0.15, 0.10)
    horn = (np.abs(aside - 0.26 - 0.12 * np.abs(back)) < width) & (back > -0.55) & (back < 0.7)
    bridge = (np.abs(back) < 0.12) & (aside < 0.3)
    return horn | bridge
