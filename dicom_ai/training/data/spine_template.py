"""The neck and chest of the PAM50 template as a training case: its own T2 image, and label maps for invented contrasts.

The maps reach from C2 to about T9; below, the template's field of view cuts the vertebral bodies. Its spine mask holds
bodies and arches alike: bodies are what lies in front of the canal. No single person is shown; the template is a mean.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage

from dicom_ai.training.data.cases import Case
from dicom_ai.training.data.spine_cases import SOURCES, TEMPLATE, core_of, disc_between_masks, sagittal_array, to_uint8
from dicom_ai.training.data.spine_classes import BACKGROUND, C2, CANAL, DISC, REST, RIM, VERTEBRA

IMAGE_AHEAD_MM = 52
"""The small T2 image begins this much above the label maps: measured, for their affines do not say it."""
LOWEST_ROW_MM = IMAGE_AHEAD_MM + 330
"""Rows that are used, from the top of the image at 1 mm: brain, then C1 to about T9."""
HALF_WIDTH_MM = 14
TISSUES = ("background", "body", "disc", "arch", "cerebrospinal fluid", "cord")
"""Values of the tissue map that synthetic images are painted from."""


def template_case(folder: Path) -> Case:
    """Return the template as a case: image (its T2), codes, and tissue."""
    maps = (_at_1mm(sagittal_array(folder / f"PAM50_{name}.nii.gz")) for name in ("spine", "csf", "cord"))
    spine, fluid, cord = (np.pad(mask, ((0, 0), (IMAGE_AHEAD_MM, 0), (0, 0))) for mask in maps)
    spine, fluid, cord = spine & ~fluid & ~cord, fluid & ~cord, cord
    bodies = _bodies(spine, fluid | cord)
    codes = np.where(fluid | cord, CANAL, BACKGROUND).astype(np.uint8)
    codes[:, :IMAGE_AHEAD_MM] = REST
    for above, below in pairwise(bodies):
        disc = disc_between_masks(above, below) & ~fluid & ~cord
        codes[disc] = RIM
        codes[core_of(disc)] = DISC
    for place, body in enumerate(bodies):
        codes[body] = C2 if place == 0 else VERTEBRA
    tissue = np.select(
        [cord, fluid, (codes == DISC) | (codes == RIM), (codes == C2) | (codes == VERTEBRA), spine], [5, 4, 2, 1, 3], 0
    ).astype(np.uint8)
    image = ndimage.zoom(sagittal_array(folder / "PAM50_small_t2.nii.gz").astype(np.float32), (1, 2, 1), order=1)
    image = _fitted(image, codes.shape)
    kept = slice(0, LOWEST_ROW_MM)
    return Case(
        name="pam50",
        person="pam50",
        kind=TEMPLATE,
        spacing_mm=1.0,
        source=SOURCES["pam50"],
        arrays={"image": to_uint8(image[:, kept]), "codes": codes[:, kept], "tissue": tissue[:, kept]},
    )


def _at_1mm(mask: np.ndarray) -> np.ndarray:
    """Return a mask of 0.5 mm at 1 mm: every second voxel."""
    return mask[1::2, 1::2, 1::2] > 0


def _fitted(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the image cut or edge-padded at its far ends to a shape."""
    padding = [(0, max(0, wanted - had)) for wanted, had in zip(shape, image.shape, strict=True)]
    return np.pad(image, padding, mode="edge")[: shape[0], : shape[1], : shape[2]]


def _bodies(spine: np.ndarray, canal: np.ndarray) -> list[np.ndarray]:
    """Return the vertebral bodies from C2 downwards, one mask each."""
    columns = np.indices(spine.shape, np.int16)
    front = np.where(
        canal.any(axis=2), canal.argmax(axis=2), spine.shape[2]
    )  # (slices, rows): first column of the canal
    front = np.where(canal.any(axis=(0, 2)), np.where(front < spine.shape[2], front, 0).max(axis=0), 0)[None, :, None]
    middle = spine.shape[0] // 2
    near = np.abs(columns[0] - middle) <= HALF_WIDTH_MM
    body = ndimage.binary_opening(spine & near & (columns[2] < front), iterations=1)
    parts, _ = ndimage.label(body)
    found = []
    for value, place in enumerate(ndimage.find_objects(parts), start=1):
        size = int((parts[place] == value).sum())
        if size > 1000:
            found.append((float(np.argwhere(parts == value)[:, 1].mean()), parts == value))
    return [mask for _, mask in sorted(found, key=lambda pair: pair[0])]
