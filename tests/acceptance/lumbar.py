"""A lumbar spine drawn from formulas, as a sagittal T2 would show it: five bodies, six discs, the top of the sacrum."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy import ndimage

from dicom_ai.domain.findings import (
    Contour,
    Finding,
    Quality,
    Segment,
    Segmentation,
    Structure,
    StructureKind,
    VertebraLabel,
)
from dicom_ai.domain.image import Volume
from dicom_ai.imaging.contours import outer_contour
from dicom_ai.measurements.table import quantity

LEVELS = ("L1", "L2", "L3", "L4", "L5", "S1")
SPACING_MM = (4.0, 0.8, 0.8)
SHAPE = (11, 320, 240)
BODY_MM, DISC_MM = (17.0, 12.5), (16.0, 4.0)
"""Half of the depth and of the height."""

HALF_WIDTH_MM = 20.0
FAT, BONE, DISC, CSF, NERVES, MUSCLE = 1700.0, 900.0, 1500.0, 3300.0, 1500.0, 500.0


@dataclass(frozen=True)
class Lumbar:
    """voxels: uint16. labels: 1 to 5 are L1 to L5, 6 to 10 the discs below them."""

    voxels: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)

    @property
    def film(self) -> np.ndarray:
        """The spine as a lateral radiograph, uint16 (rows, columns): bone is bright."""
        flat = self.labels[len(self.labels) // 2]
        film = np.where((flat > 0) & (flat < 6), 2800.0, 1300.0 + 0.0 * flat)
        return np.clip(ndimage.gaussian_filter(film, 1.0), 0, 4095).astype(np.uint16)

    def outlined(self, series_uid: str) -> list[Finding]:
        """Return each body on the film with its outline and its height."""
        flat = self.labels[len(self.labels) // 2]
        return [
            Finding(
                structure=Structure(StructureKind.VERTEBRA, f"{level} vertebra", level),
                site=level,
                site_level=level,
                series_uid=series_uid,
                tracking_id=level,
                tracking_uid=f"2.25.{8000 + number}",
                quantities=(quantity("wedge_ratio", 0.95 + 0.01 * number),),
                quality=Quality.PASS,
                contour=Contour(series_uid, 0, outer_contour(flat == number)),
            )
            for number, level in enumerate(LEVELS[:-1], 1)
        ]

    def segmentation(self, volume: Volume) -> Segmentation:
        """Return what a model would say that finds everything. volume: the voxels as they were read."""
        vertebrae = [_vertebra(volume, self.labels, number) for number in range(1, 6)]
        structures = [Structure(StructureKind.VERTEBRA, f"{one} vertebra", one) for one in LEVELS[:-1]]
        structures += [Structure(StructureKind.DISC, f"{a}/{b} disc", f"{a}/{b}") for a, b in pairwise(LEVELS)]
        segments = [Segment(n, one, one.name, f"2.25.{7000 + n}") for n, one in enumerate(structures, 1)]
        return Segmentation(self.labels, tuple(segments), 0.9, vertebrae=tuple(vertebrae))


def lumbar(seed: int = 0) -> Lumbar:
    """Draw the spine; the front is at small columns, the head at small rows."""
    rows, columns = np.indices(SHAPE[1:])
    down, back = rows * SPACING_MM[1], columns * SPACING_MM[2]
    image = np.full(SHAPE[1:], MUSCLE)
    image[(back > 165) | (back < 14)] = FAT
    behind = back - _course(down)
    image[(behind > 20) & (behind < 34)] = CSF
    image[(behind > 28) & (behind < 32) & (down > 40)] = NERVES
    flat = np.zeros(SHAPE[1:], np.uint8)
    for place in range(5):
        disc = _inside(down, back, _middle_of_disc(place), _lean(_middle_of_disc(place)), DISC_MM)
        image[disc], flat[disc] = DISC - 120 * place, 6 + place
    for place in range(6):
        body = _inside(down, back, _middle_of_body(place), _lean(_middle_of_body(place)), BODY_MM)
        image[body] = BONE
        flat[body] = place + 1 if place < 5 else 0
    beside = (np.arange(SHAPE[0]) - SHAPE[0] // 2) * SPACING_MM[0]
    central = np.abs(beside) < HALF_WIDTH_MM
    volume = np.where(central[:, None, None], image, np.where(image == FAT, FAT, MUSCLE))
    noisy = volume + np.random.default_rng(seed).normal(0, 60, SHAPE)
    return Lumbar(np.clip(noisy, 0, 4095).astype(np.uint16), np.where(central[:, None, None], flat, 0).astype(np.uint8))


def _course(down_mm: np.ndarray) -> np.ndarray:
    """Return how far back the middle of the bodies lies, mm: a lordosis."""
    return 96.0 - 22.0 * np.sin(np.pi * np.clip(down_mm - 20.0, 0, 230) / 230.0)


def _lean(down_mm: float) -> float:
    """Return the angle by which the spine leaves the vertical there, radians."""
    step = 0.5
    run = _course(np.array([down_mm + step])) - _course(np.array([down_mm - step]))
    return float(np.arctan2(run[0], 2 * step))


def _middle_of_body(place: int) -> float:
    return 30.0 + place * 2 * (BODY_MM[1] + DISC_MM[1])


def _middle_of_disc(place: int) -> float:
    return _middle_of_body(place) + BODY_MM[1] + DISC_MM[1]


def _inside(down: np.ndarray, back: np.ndarray, middle: float, lean: float, half_mm: tuple[float, float]) -> np.ndarray:
    """Return the pixels of a rounded box that leans with the spine."""
    along, across = down - middle, back - _course(np.array(middle))
    height = along * np.cos(lean) + across * np.sin(lean)
    depth = across * np.cos(lean) - along * np.sin(lean)
    return np.abs(depth / half_mm[0]) ** 6 + np.abs(height / half_mm[1]) ** 6 < 1


def _vertebra(volume: Volume, labels: np.ndarray, number: int) -> VertebraLabel:
    cloud = volume.to_mm(np.argwhere(labels == number))
    centre = cloud.mean(axis=0)
    half = np.array([0.0, 0.0, BODY_MM[1]])
    level = LEVELS[number - 1]
    return VertebraLabel(level, f"{level} vertebra", number, "", False, centre, centre + half, centre - half)
