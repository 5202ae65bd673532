"""Necks made from formulas as cases of the spine model: C2 and what follows, where every level is known exactly.

No training shows them. Weights that have learned more of the loin may have lost the neck: these say so in a minute.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dicom_ai.domain.findings import VertebraLabel
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.imaging.neck_phantom import NeckTruth, neck_phantom, random_shape, sagittal_grid
from dicom_ai.imaging.neck_shape import NeckShape
from dicom_ai.inference.predictor import Predictor
from dicom_ai.training.spine_tables import NECKS

SHAPES = {"mean": NeckShape(), "1": random_shape(1), "2": random_shape(2)}
CONTRASTS = ("T2", "T1")
SPACINGS_MM = ((1.0, 1.0, 1.0), (3.3, 0.8, 0.8))
"""Between (slices, rows, columns)."""
FIRST = "C2"
BORDER_MM = 3.0
"""A vertebra that ends nearer to the border of the image is not asked for."""


def neck_rows(predictor: Predictor) -> Iterator[dict[str, Any]]:
    """Yield a row of scores for each neck: levels right, wrong, withheld, and vertebrae missed."""
    for name, shape in SHAPES.items():
        for contrast in CONTRASTS:
            for spacing in SPACINGS_MM:
                phantom = neck_phantom(shape, sagittal_grid(shape, spacing_mm=spacing), contrast=contrast, seed=7)
                started = time.perf_counter()
                result = predictor.predict(SourceImage("1", "2", phantom.image, ()))
                image = f"neck {name}, {contrast}, {spacing[0]:g} mm"
                yield {
                    **{"image": image, "person": f"neck {name}", "source": NECKS, "seen": False, "crop": ""},
                    **level_scores(result.vertebrae, phantom.truth, phantom.image),
                    **{"score": result.score, "seconds": time.perf_counter() - started},
                }


def level_scores(vertebrae: Sequence[VertebraLabel], truth: NeckTruth, image: Volume) -> dict[str, int]:
    """Count the levels from C2 on that lie whole in the image: what lies at the height of each, and what it is called.

    A vertebra called by a level that is not its own is wrong wherever it lies.
    """
    at = truth.position_of(np.array([one.centroid_mm for one in vertebrae]).reshape(-1, 3))
    end = np.array([[image.shape[0] / 2, image.shape[1] - 1, image.shape[2] / 2]])
    lowest = float(truth.position_of(image.to_mm(end))[0]) - BORDER_MM
    counts = {"structures": 0, "right": 0, "wrong": 0, "withheld": 0, "missed": 0}
    asked = False
    for level, (upper, lower) in truth.level_bounds_mm.items():
        asked = asked or level == FIRST
        said = [one.level for one, place in zip(vertebrae, at, strict=True) if upper <= place < lower]
        counts["wrong"] += sum(name not in (None, level) for name in said)
        if asked and lower < lowest:
            counts["structures"] += 1
            counts["missed"] += not said
            counts["right"] += level in said
            counts["withheld"] += set(said) <= {None}
    return counts
