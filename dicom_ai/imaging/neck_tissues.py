"""What each point of the formula neck is made of, and how bright each tissue is in a scan."""

from enum import IntEnum

import numpy as np

from dicom_ai.imaging.neck_shape import NeckShape, Place, canal_gap


class Tissue(IntEnum):
    """What a point is made of; the values are those of NeckPhantom.tissues."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    MARROW = 4
    CORTEX = 5
    DISC = 6
    EPIDURAL = 7
    CSF = 8
    CORD = 9
    BRAIN = 10
    AIRWAY = 11
    VESSEL = 12
    OESOPHAGUS = 13
    LIGAMENT = 14


CONTRASTS: dict[str, dict[Tissue, float]] = {
    "T2": {
        Tissue.AIR: 0.01, Tissue.SKIN: 0.35, Tissue.FAT: 0.80, Tissue.MUSCLE: 0.16, Tissue.MARROW: 0.42,
        Tissue.CORTEX: 0.05, Tissue.DISC: 0.36, Tissue.EPIDURAL: 0.70, Tissue.CSF: 1.00, Tissue.CORD: 0.42,
        Tissue.BRAIN: 0.46, Tissue.AIRWAY: 0.01, Tissue.VESSEL: 0.04, Tissue.OESOPHAGUS: 0.30, Tissue.LIGAMENT: 0.08,
    },
    "T1": {
        Tissue.AIR: 0.01, Tissue.SKIN: 0.45, Tissue.FAT: 1.00, Tissue.MUSCLE: 0.40, Tissue.MARROW: 0.58,
        Tissue.CORTEX: 0.07, Tissue.DISC: 0.38, Tissue.EPIDURAL: 0.85, Tissue.CSF: 0.16, Tissue.CORD: 0.60,
        Tissue.BRAIN: 0.58, Tissue.AIRWAY: 0.01, Tissue.VESSEL: 0.20, Tissue.OESOPHAGUS: 0.42, Tissue.LIGAMENT: 0.12,
    },
    "T2star": {
        Tissue.AIR: 0.01, Tissue.SKIN: 0.40, Tissue.FAT: 0.45, Tissue.MUSCLE: 0.38, Tissue.MARROW: 0.12,
        Tissue.CORTEX: 0.03, Tissue.DISC: 0.55, Tissue.EPIDURAL: 0.45, Tissue.CSF: 0.95, Tissue.CORD: 0.52,
        Tissue.BRAIN: 0.55, Tissue.AIRWAY: 0.01, Tissue.VESSEL: 0.85, Tissue.OESOPHAGUS: 0.45, Tissue.LIGAMENT: 0.10,
    },
    "MT": {
        Tissue.AIR: 0.01, Tissue.SKIN: 0.45, Tissue.FAT: 0.75, Tissue.MUSCLE: 0.25, Tissue.MARROW: 0.30,
        Tissue.CORTEX: 0.05, Tissue.DISC: 0.45, Tissue.EPIDURAL: 0.65, Tissue.CSF: 0.85, Tissue.CORD: 0.36,
        Tissue.BRAIN: 0.36, Tissue.AIRWAY: 0.01, Tissue.VESSEL: 0.90, Tissue.OESOPHAGUS: 0.35, Tissue.LIGAMENT: 0.10,
    },
}  # fmt: skip
"""Signal of each tissue, relative to the brightest; the order of tissues is that of real scans of the name."""


def tissues_at(shape: NeckShape, at: Place) -> np.ndarray:
    """Return the tissue of each point, uint8; the cord counts as CSF. Later lines paint over earlier ones."""
    tissue = _soft_parts(shape, at)
    canal = canal_gap(shape, at)
    in_neck = at.h < 2.0
    _paint_column(shape, at, canal, tissue)
    tissue[in_neck & (canal < 1.4)] = Tissue.EPIDURAL
    tissue[in_neck & (canal < 0.5)] = Tissue.LIGAMENT
    _paint_head(shape, at, tissue)
    tissue[(at.h < 6.0) & (canal < 0.0)] = Tissue.CSF
    return tissue


def _soft_parts(shape: NeckShape, at: Place) -> np.ndarray:
    """Outline of the body, skin, fat, muscle, airway, gullet and vessels."""
    tissue = np.zeros(len(at.h), np.uint8)
    low, high = np.clip(-(at.h + 105.0), 0.0, 90.0), np.clip((at.h + 35.0) / 60.0, 0.0, 1.0)
    wide = shape.body_rl_mm + 1.5 * low + 16.0 * high
    deep = shape.body_ap_mm + 0.45 * low + 28.0 * high
    middle = shape.centre(np.minimum(at.h, 0.0))[:, 1] - 16.0 - 12.0 * high
    depth = (1.0 - np.hypot(at.x / wide, (at.y - middle) / deep)) * np.minimum(wide, deep)
    tissue[depth > 0] = Tissue.SKIN
    tissue[depth > 1.8] = Tissue.FAT
    fascia = np.abs(np.sin(at.x / 8.3 + 0.05 * at.h) * np.sin(at.y / 9.7 - 0.04 * at.h)) < 0.05
    tissue[(depth > shape.fat_mm) & ~fascia] = Tissue.MUSCLE
    front = -(at.semi[:, 1] + shape.canal_margin_mm + 18.0 * shape.scale)
    tissue[(np.hypot(at.u / 8.0, (at.v - front + 13.0) / 6.0) < 1) & (at.h > -140)] = Tissue.AIRWAY
    tissue[(np.hypot(at.u / 7.0, (at.v - front + 4.0) / 2.8) < 1) & (at.h < -85)] = Tissue.OESOPHAGUS
    side = np.abs(at.u)
    for place, behind, radius in ((22.0, 3.0, 3.2), (29.0, 5.0, 4.5), (13.5, 14.0, 1.9)):
        tissue[np.hypot(side - place * shape.scale, at.v - front - behind) < radius] = Tissue.VESSEL
    return tissue


def _paint_column(shape: NeckShape, at: Place, canal: np.ndarray, tissue: np.ndarray) -> None:
    """Vertebral bodies, discs, arches and spinous processes."""
    bounds = shape.level_bounds
    level = np.clip(np.searchsorted(-bounds, -at.h) - 1, 0, len(bounds) - 2)
    middle, half = 0.5 * (bounds[level] + bounds[level + 1]), 0.5 * (bounds[level] - bounds[level + 1])
    to_border = half - np.abs(at.h - middle)
    growth = shape.scale * (1.0 - 0.0012 * at.h)
    slim = np.where(level == 0, 0.45, np.where(level == 1, 0.8, 1.0))
    wide, deep = 12.5 * growth * slim, 8.2 * growth * np.where(level == 0, 0.65, 1.0)
    centre = -(at.semi[:, 1] + 0.8 * shape.canal_margin_mm + 2.0 + deep)
    edge = (np.abs(at.u / wide) ** 4 + np.abs((at.v - centre) / deep) ** 3) ** 0.3
    column = (edge < 1.0) & (at.h < 0)
    near_disc = (to_border < 2.4 * shape.scale) & ~((level == 0) | ((level == 1) & (at.h > middle)))
    tissue[(edge < 1.12) & (at.h < 0)] = Tissue.LIGAMENT
    tissue[column] = np.where(near_disc, Tissue.DISC, Tissue.MARROW)[column]
    plate = column & ~near_disc & ((edge > 0.93) | ((to_border < 3.1 * shape.scale) & (level > 1)))
    tissue[plate] = Tissue.CORTEX
    arch = (canal > 1.0) & (canal < 5.5) & (at.v > -3.0) & (np.abs(at.h - middle) < 0.55 * half) & (at.h < 0)
    tissue[arch] = np.where((canal < 1.9) | (canal > 4.6), Tissue.CORTEX, Tissue.MARROW)[arch]
    pillar = (np.abs(np.abs(at.u) - 17.0 * growth) < 5.0) & (np.abs(at.v + 2.0) < 6.0) & (at.h < -6)
    tissue[pillar] = np.where(to_border < 1.2, Tissue.CORTEX, Tissue.MARROW)[pillar]
    behind = at.v - at.semi[:, 1] - shape.canal_margin_mm - 3.0
    slanted = at.h + 0.45 * np.clip(behind, 0, None) - middle
    long = np.where(level >= 6, 30.0, 20.0) * shape.scale
    process = (behind > 0) & (behind < long) & (np.abs(at.u) < 3.6) & (np.abs(slanted) < 0.42 * half) & (level > 0)
    tissue[process] = np.where(np.abs(at.u) > 2.7, Tissue.CORTEX, Tissue.MARROW)[process]


def _paint_head(shape: NeckShape, at: Place, tissue: np.ndarray) -> None:
    """Brain stem, cistern, brain and skull; the cord's mask ends at h = 0, the brain stem goes on from there."""
    up = np.clip(at.h, 0.0, None)
    x, y = at.x - shape.centre(np.zeros(1))[0, 0], at.y - shape.centre(np.zeros(1))[0, 1]
    ball = np.sqrt((x / 70.0) ** 2 + ((y + 18.0) / 88.0) ** 2 + ((at.h - 62.0) / 68.0) ** 2)
    head = at.h > 0.5
    tissue[head & (ball < 1.0)] = Tissue.MARROW
    tissue[head & (ball < 0.93)] = Tissue.CSF
    folds = np.abs(np.sin(at.x / 5.0) + np.sin(at.y / 6.0) + np.sin(at.h / 5.5)) > 0.25
    tissue[head & (ball < 0.89) & folds] = Tissue.BRAIN
    stem = 6.0 + 0.35 * up
    radius = np.hypot(at.u, at.v * 1.15)
    tissue[head & (radius < stem + 5.0)] = Tissue.CSF
    tissue[head & (at.v < -(stem + 4.0)) & (np.abs(at.u) < 14.0) & (at.h < 35.0)] = Tissue.MARROW
    tissue[head & (radius < np.minimum(at.semi.mean(axis=1) + 0.4 * up, 14.0))] = Tissue.BRAIN
