"""Spine MR with drawn vertebrae or discs, turned to one orientation and given class codes (spine_classes.py).

Arrays are (slice, row, column) at 1 mm: slices across the body, rows from head to foot, columns from front to back.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from dicom_ai.training.data.cases import Case
from dicom_ai.training.data.spine_classes import (
    ABOVE,
    BELOW,
    DISC,
    NO_DISC,
    PAPER_ABOVE,
    PAPER_BELOW,
    PAPER_DISC,
    PAPER_REST,
    PAPER_SACRUM,
    PAPER_VERTEBRA,
    REST,
    RIM,
    SACRUM,
    UNKNOWN,
    VERTEBRA,
)

DISCS_ONLY = "menezes"
"""The source of volumes in which discs alone are drawn."""
VOLUME, SLICE, TEMPLATE = "volume", "slice", "template"
"""Kinds of case: neighbouring slices exist; one slice alone; label maps that also give synthetic images."""

SOURCES: Mapping[str, str] = {
    "myosegmentum": "MyoSegmenTUM (Burian 2019), by way of JonathanRamos/fastcleverseg (repository GPL-3.0)",
    "chu": "Chu 2015 (Zenodo 22304), by way of JonathanRamos/fastcleverseg (repository GPL-3.0)",
    "menezes": "Menezes-Reis 2016, by way of JonathanRamos/fastcleverseg (repository GPL-3.0)",
    "vesal": "sulaimanvesal/vertebraeSegementation, MIT",
    "pam50": "PAM50 (De Leener 2018), distributed with the Spinal Cord Toolbox; PAM50_small_t2 MIT",
}
Codes = Callable[[np.ndarray], np.ndarray]
"""Gives the codes of drawn vertebrae."""
MARGIN_SLICES = 6
SAME_PERSON: Mapping[str, str] = {"myosegmentum_19": "myosegmentum_18"}
"""Cases whose image is byte for byte that of another: they stay on one side of every split."""

RIM_MM = 2.0
"""So deep from its surface a derived disc is not sure to be disc: cortical bone of both vertebrae lies in the gap too,
and drawn discs end before the vertebrae do."""

VESAL_PIXEL_MM = 1.3
"""Assumed: the slices carry no spacing; with it their discs lie 36 mm apart, as in the other sources."""


def read_cases(folder: Path) -> Iterator[Case]:
    """Yield the volumes with drawn vertebrae or discs and the single slices with both under spine_mr."""
    for path in sorted(folder.glob("*_labels.nii.gz")):
        yield volume_case(folder, path.name.removesuffix("_labels.nii.gz"))
    for path in sorted((folder / "vesal_slices").glob("*_labels.png")):
        yield _slice_case(path)


def paper_cases(folder: Path) -> Iterator[Case]:
    """Yield the volumes with drawn vertebrae under spine_mr with the 20 classes of the paper."""
    for path in sorted(folder.glob("*_labels.nii.gz")):
        name = path.name.removesuffix("_labels.nii.gz")
        if not name.startswith(DISCS_ONLY):
            yield volume_case(folder, name, paper_codes)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Return the image between its 0.1 and 99.8 percentiles as uint8."""
    low, high = np.percentile(image, [0.1, 99.8])
    return (np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def sagittal_array(path: Path) -> np.ndarray:
    """Return a NIfTI volume with slices from left to right, rows head to foot, columns front to back."""
    import nibabel

    canonical = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)  # (right, front, head)
    return np.ascontiguousarray(canonical.transpose(0, 2, 1)[:, ::-1, ::-1])


def volume_case(folder: Path, name: str, codes: Codes | None = None) -> Case:
    """Read a volume with drawn vertebrae or discs. codes: how its truth is coded; None: by what is drawn."""
    image, labels = sagittal_array(folder / f"{name}_image.nii.gz"), sagittal_array(folder / f"{name}_labels.nii.gz")
    drawn = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    codes = codes or (disc_codes if name.startswith(DISCS_ONLY) else vertebra_codes)
    kept = slice(max(0, drawn[0] - MARGIN_SLICES), drawn[-1] + MARGIN_SLICES + 1)
    image, labels = image[kept], labels[kept]
    return Case(
        name=name,
        person=SAME_PERSON.get(name, name),
        kind=VOLUME,
        spacing_mm=1.0,
        source=SOURCES[name.split("_")[0]],
        arrays={"image": to_uint8(image), "codes": codes(labels)},
    )


def vertebra_codes(labels: np.ndarray) -> np.ndarray:
    """Return the codes of a volume in which each vertebra has a value, growing from the lowest one (1) upwards.

    Discs are derived: what lies between the facing ends of two neighbours, its rim left open. Below the lowest vertebra
    a core of the first sacral one is placed by geometry; the rest there, and what lies above the highest, stays open.
    """
    codes = _surroundings(labels)
    for _, disc in _discs(labels):
        codes[disc] = RIM
        codes[core_of(disc)] = DISC
    codes[labels > 0] = VERTEBRA
    return codes


def core_of(disc: np.ndarray) -> np.ndarray:
    """Return what of a derived disc is surely disc: all but its rim, and of a thin one its deeper half."""
    core = np.zeros_like(disc)
    for box in ndimage.find_objects(disc.astype(np.uint8)):
        depth = ndimage.distance_transform_edt(np.pad(disc[box], 1))[1:-1, 1:-1, 1:-1]
        core[box] = depth > min(RIM_MM, float(depth.max()) / 2)
    return core


def disc_codes(labels: np.ndarray) -> np.ndarray:
    """Return the codes of a volume in which discs alone are drawn, up from L5/S1: what lies above them stays open.

    Below the lowest there is no vertebra but the sacrum.
    """
    codes = np.full(labels.shape, NO_DISC, np.uint8)
    rows = np.indices(labels.shape, np.int16)[1:]
    lowest, highest = (_slab(labels == value) for value in (_values(labels)[0], _values(labels)[-1]))
    _mark_beyond(codes, rows, highest, towards=-1.0, code=ABOVE, reach_mm=60.0)
    _mark_beyond(codes, rows, lowest, towards=1.0, code=BELOW, reach_mm=100.0)
    codes[labels > 0] = DISC
    return codes


def paper_codes(labels: np.ndarray) -> np.ndarray:
    """Return the codes of such a volume in the 20 classes of the paper: a level for every vertebra and disc."""
    table = np.zeros(REST + 4, np.uint8)
    table[[SACRUM, REST, BELOW, ABOVE]] = PAPER_SACRUM, PAPER_REST, PAPER_BELOW, PAPER_ABOVE
    codes = table[_surroundings(labels)]
    for below, disc in _discs(labels):
        codes[disc] = PAPER_DISC + below
    codes[labels > 0] = PAPER_VERTEBRA + labels[labels > 0]
    return codes


def _surroundings(labels: np.ndarray) -> np.ndarray:
    """Return REST, BELOW, ABOVE and SACRUM around the drawn vertebrae."""
    codes = np.full(labels.shape, REST, np.uint8)
    values = _values(labels)
    rows = np.indices(labels.shape, np.int16)[1:]
    lowest, highest = _slab(labels == values[0]), _slab(labels == values[-1])
    _mark_beyond(codes, rows, highest, towards=-1.0, code=ABOVE, reach_mm=60.0)
    _mark_beyond(codes, rows, lowest, towards=1.0, code=BELOW, reach_mm=100.0)
    _mark_sacrum(codes, labels == values[0], labels == values[1])
    return codes


def _discs(labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the value of the vertebra below each derived disc, and the disc."""
    for below, above in pairwise(_values(labels)):
        yield below, disc_between_masks(labels == above, labels == below) & (labels == 0)


def _values(labels: np.ndarray) -> list[int]:
    return [int(value) for value in np.unique(labels) if value]


def disc_between_masks(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return the hull, slice by slice, of the facing thirds of two vertebrae: bool, same shape."""
    axis = _centre(below) - _centre(above)
    axis /= np.linalg.norm(axis)
    facing = _facing(above, axis) | _facing(below, -axis)
    disc = np.zeros_like(facing)
    for index in np.flatnonzero((facing & above).any(axis=(1, 2)) & (facing & below).any(axis=(1, 2))):
        disc[index] = convex_hull_image(facing[index])
    return disc & ~above & ~below


def _facing(mask: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the third of a mask that lies furthest along an axis."""
    points = np.argwhere(mask)
    along = points @ axis
    kept = points[along > np.quantile(along, 0.67)]
    result = np.zeros_like(mask)
    result[tuple(kept.T)] = True
    return result


def _centre(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(axis=0)


def _slab(mask: np.ndarray) -> np.ndarray:
    """Return the (row, column) points of the middle ten slices of a vertebra, shape (n, 2)."""
    points = np.argwhere(mask)
    middle = np.median(points[:, 0])
    return points[np.abs(points[:, 0] - middle) <= 5][:, 1:]


def _mark_beyond(
    codes: np.ndarray, rows: np.ndarray, vertebra: np.ndarray, *, towards: float, code: int, reach_mm: float
) -> None:
    """Mark what lies beyond the end of a vertebra: towards 1 its lower, -1 its upper one."""
    end, normal = _end_of(vertebra, towards)
    apart = np.stack([rows[0] - end[0], rows[1] - end[1]])
    along = apart[0] * normal[0] + apart[1] * normal[1]
    codes[(along > -3) & (np.hypot(*apart) < reach_mm)] = code


def _end_of(vertebra: np.ndarray, towards: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of an endplate and its normal away from the vertebra, both (row, column)."""
    columns = np.unique(vertebra[:, 1])
    low, high = np.quantile(vertebra[:, 1], [0.15, 0.85])
    columns = columns[(columns >= low) & (columns <= high)]
    pick = np.max if towards > 0 else np.min
    plate = np.array([pick(vertebra[vertebra[:, 1] == column, 0]) for column in columns], float)
    slope, offset = np.polyfit(columns, plate, 1)
    middle = float(np.median(vertebra[:, 1]))
    normal = np.array([1.0, -slope]) * towards / np.hypot(1.0, slope)
    return np.array([offset + slope * middle, middle]), normal


def _mark_sacrum(codes: np.ndarray, lowest: np.ndarray, above: np.ndarray) -> None:
    """Mark a core of the first sacral vertebra by geometry: it is inside the bone, its outline stays open.

    It lies a disc and a little less than half a body below the lower endplate of L5, turned back by 35 degrees.
    """
    end, normal = _end_of(_slab(lowest), 1.0)
    height = float(np.linalg.norm(_centre(lowest) - _centre(above))) * 0.72
    turn = np.deg2rad(35.0)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    back = turned @ normal
    centre = end + normal * 0.27 * height + back * 0.48 * height
    rows = np.indices(codes.shape[1:], float)
    core = np.hypot(rows[0] - centre[0], rows[1] - centre[1]) < 0.2 * height
    middle = round(float(np.median(np.argwhere(lowest)[:, 0])))
    for index in range(max(0, middle - 10), min(len(codes), middle + 11)):
        codes[index][core] = SACRUM


def _slice_case(path: Path) -> Case:
    """Read one drawn slice (1 disc, 2 vertebra); what lies below its lowest disc is the sacrum."""
    from PIL import Image

    source = path.with_name(path.name.replace("_labels", "_image"))
    image = np.asarray(Image.open(source).convert("L"), np.float32)
    labels = np.asarray(Image.open(path).convert("L"))
    zoom = VESAL_PIXEL_MM
    image = ndimage.zoom(image, zoom, order=1)
    labels = ndimage.zoom(labels, zoom, order=0)
    return Case(
        name=f"vesal_{path.name[:2]}",
        person=f"vesal_{path.name[:2]}",
        kind=SLICE,
        spacing_mm=1.0,
        source=SOURCES["vesal"],
        arrays={"image": to_uint8(image)[None], "codes": slice_codes(labels)[None]},
    )


def slice_codes(labels: np.ndarray) -> np.ndarray:
    """Return the codes of a slice with 1 disc and 2 vertebra; without vertebrae only what was drawn is known."""
    codes = np.full(labels.shape, REST if (labels == 2).any() else UNKNOWN, np.uint8)
    codes[labels == 1], codes[labels == 2] = DISC, VERTEBRA
    discs, count = ndimage.label(labels == 1)
    if not count or not (labels == 2).any():
        return codes
    lowest = max(float(np.argwhere(discs == value)[:, 0].mean()) for value in range(1, count + 1))
    bones, bone_count = ndimage.label(labels == 2)
    rows = {value: float(np.argwhere(bones == value)[:, 0].mean()) for value in range(1, bone_count + 1)}
    beneath = [value for value, row in rows.items() if row > lowest]
    if beneath:  # of two, the upper is L5 whose disc was not drawn in this parasagittal slice
        codes[bones == max(beneath, key=rows.__getitem__)] = SACRUM
    return codes
