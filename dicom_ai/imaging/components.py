"""Connected components of masks."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True, slots=True)
class Component:
    """One connected piece of a mask. box: its smallest enclosing slices; centroid: fractional indices."""

    number: int
    voxels: int
    box: tuple[slice, ...]
    centroid: tuple[float, ...]


def components(mask: np.ndarray, *, connectivity: int | None = None) -> tuple[Component, ...]:
    """Return the pieces of a mask, largest first; of equal ones the first in memory first.

    connectivity: 1 joins faces only; None joins corners too. number counts from 1 in the returned order.
    """
    labels, count = _label(mask, connectivity)
    if count == 0:
        return ()
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    centroids = ndimage.center_of_mass(labels > 0, labels, range(1, count + 1))
    order = np.argsort(-sizes, kind="stable")
    return tuple(
        Component(number, int(sizes[old]), boxes[old], tuple(float(value) for value in centroids[old]))
        for number, old in enumerate(order, 1)
    )


def largest_component(mask: np.ndarray, *, connectivity: int | None = None) -> np.ndarray:
    """Return the largest piece of a mask as bool, same shape; all False where the mask is empty."""
    labels, count = _label(mask, connectivity)
    if count == 0:
        return np.zeros(mask.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(np.argmax(sizes))


def without_small(mask: np.ndarray, least_voxels: int, *, connectivity: int | None = None) -> np.ndarray:
    """Return the mask without pieces of fewer voxels, as bool."""
    labels, _ = _label(mask, connectivity)
    keep = np.bincount(labels.ravel()) >= least_voxels
    keep[0] = False
    return keep[labels]


def _label(mask: np.ndarray, connectivity: int | None) -> tuple[np.ndarray, int]:
    structure = ndimage.generate_binary_structure(mask.ndim, connectivity or mask.ndim)
    labels, count = ndimage.label(np.asarray(mask) > 0, structure=structure)
    return labels, int(count)
