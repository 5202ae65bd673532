"""How far two scans of an unchanged cord lie apart: the same necks, scanned again and again, measured by the model.

A scan again is another position (up to 3 mm and 4 degrees off), other noise and another coil field. Formula necks are
painted anew on every grid, so that nothing is interpolated; the one real neck that no training has seen is resampled,
with noise added. Levels are known: what another labelling would change is not in the figure, nor is what the body does
between two days, nor another scanner. So it is a lower bound of what a change must exceed.

The figure is the repeatability coefficient, 1.96 x square root of 2 x the standard deviation within necks and levels:
95 % of the differences between two scans of the same level are smaller (Bland and Altman, BMJ 1996; 313: 744).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from dicom_ai.dicom.nifti import read_nifti
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.domain.model import ModelRepeatability
from dicom_ai.errors import ConfigError
from dicom_ai.imaging.neck_phantom import NeckShape, axial_grid, neck_phantom, neck_truth, random_shape, sagittal_grid
from dicom_ai.imaging.resample import resample_onto
from dicom_ai.inference.predictor import Predictor
from dicom_ai.inference.registry import ModelStore
from dicom_ai.measurements.labelled_slices import level_name
from dicom_ai.measurements.spinal_cord_csa import CordSettings, measure_cord
from dicom_ai.training.recipes import EvaluateRequest, Say

FILE = "repeatability.json"
SCANS = 4
"""Of every neck and contrast."""

SEEN_MM = (48.0, 140.0, 100.0)
"""Of the sagittal scans: slices, head to feet, front to back. The upper neck, so that a look takes minutes."""

MOST_SHIFT_MM, MOST_TURN_DEG = 3.0, 4.0
NECKS = (None, 100)
"""Seeds of formula necks that no training has drawn; None is the mean neck."""

CONTRASTS = ("T2", "T1", "T2star")
REAL, REAL_LEVELS = "errsm30_t2", "errsm30_t2_crop_levels"
NOISE = 0.02
"""Of scans of the real neck, beside its own: share of the brightest 1 %."""

NORMAL_95 = 1.959964

Level = Callable[[np.ndarray], str]
"""Point on the cord, LPS -> its vertebral level; "" where it has none."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan. group: scans of one kind; neck: whose."""

    group: str
    neck: str
    image: Volume
    level_of: Level


def measure(request: EvaluateRequest, *, model: str, say: Say) -> dict[str, Any]:
    """Return rows of the mean CSA of every level in every scan, and what follows from them, by group and in all."""
    store = ModelStore(request.models, device=request.device, runtime=request.runtime, threads=request.threads)
    predictor = store.load(model)
    rows = []
    for scan in scans(request.data):
        found = _levels(predictor, scan)
        rows += [{"group": scan.group, "neck": scan.neck, "level": level, "csa_mm2": csa} for level, csa in found]
        say(f"{scan.group} {scan.neck}: {', '.join(f'{level} {csa:.1f}' for level, csa in found) or 'nothing'}")
    groups = {name: coefficient([row for row in rows if row["group"] == name]) for name in _names(rows)}
    if not groups:
        raise ConfigError(f"{request.data}: nothing could be measured")
    worst = max(groups, key=lambda name: groups[name].csa_mm2)
    return {
        "model": f"{predictor.reference.name} {predictor.reference.version}",
        "weights": predictor.reference.digest,
        "scans_of_each": SCANS,
        "groups": {name: {"csa_mm2": one.csa_mm2, "pairs": one.pairs} for name, one in groups.items()},
        "stated": {"group": worst, "csa_mm2": groups[worst].csa_mm2, "pairs": groups[worst].pairs},
        "rows": rows,
    }


def coefficient(rows: Sequence[dict[str, Any]]) -> ModelRepeatability:
    """Return the repeatability coefficient over necks and levels; a level in fewer than two scans does not count."""
    sites: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        sites.setdefault((row["neck"], row["level"]), []).append(row["csa_mm2"])
    several = [np.array(values) for values in sites.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    if not freedom:
        return ModelRepeatability(0.0, 0)
    variance = sum(float(((values - values.mean()) ** 2).sum()) for values in several) / freedom
    pairs = sum(len(values) * (len(values) - 1) // 2 for values in several)
    return ModelRepeatability(round(NORMAL_95 * np.sqrt(2 * variance), 1), pairs)


def state(folder: Path, measured: dict[str, Any]) -> None:
    """Write repeatability.json into a model folder, and the figure into its model.toml, in place of an older one."""
    stated = measured["stated"]
    (folder / FILE).write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    path = folder / "model.toml"
    text = path.read_text(encoding="utf-8").partition("\n[repeatability]")[0].rstrip()
    source = f"# By `dicom-ai repeatability {folder.name} --state`: {stated['group']}, the widest group of {FILE}."
    table = f"\n[repeatability]\n{source}\ncsa_mm2 = {stated['csa_mm2']}\npairs = {stated['pairs']}\n"
    path.write_text(f"{text}\n{table}", encoding="utf-8")


def scans(data: Path) -> Iterator[Scan]:
    """Yield every scan, one after the other, the same each time."""
    rng = np.random.default_rng(2026)
    for seed in NECKS:
        shape = NeckShape() if seed is None else random_shape(seed)
        for contrast in CONTRASTS:
            grid = axial_grid(shape) if contrast == "T2star" else sagittal_grid(shape, extent_mm=SEEN_MM)
            for number in range(SCANS):
                image = neck_phantom(shape, moved(grid, rng), contrast=contrast, seed=1000 * number + 7).image
                yield Scan(f"formula {contrast}", "mean" if seed is None else str(seed), image, _by_formula(shape))
    path = data / "spinal_cord_mr" / f"{REAL}.nii.gz"
    if path.is_file():
        yield from _scans_of_real(path, rng)


def moved(grid: Volume, rng: np.random.Generator) -> Volume:
    """Return a grid turned about its middle and shifted, as if the person had been put on the table again."""
    turn = Rotation.from_euler("xyz", rng.uniform(-MOST_TURN_DEG, MOST_TURN_DEG, 3), degrees=True).as_matrix()
    middle = grid.to_mm((np.array(grid.shape) - 1) / 2)
    affine = grid.affine.copy()
    affine[:3, :3] = turn @ grid.affine[:3, :3]
    affine[:3, 3] = turn @ (grid.affine[:3, 3] - middle) + middle + rng.uniform(-MOST_SHIFT_MM, MOST_SHIFT_MM, 3)
    return replace(grid, affine=affine)


def _scans_of_real(path: Path, rng: np.random.Generator) -> Iterator[Scan]:
    image, levels = read_nifti(path).image, read_nifti(path.with_name(f"{REAL_LEVELS}.nii.gz")).image
    assert isinstance(image, Volume) and isinstance(levels, Volume)
    bright = float(np.percentile(image.voxels, 99))
    for _ in range(SCANS):
        again = resample_onto(image, moved(image, rng), 3)
        real, imaginary = rng.standard_normal((2, *again.shape)) * NOISE * bright
        voxels = np.hypot(np.maximum(again.voxels, 0) + real, imaginary).astype(np.float32)
        yield Scan("real T2", REAL, again.with_voxels(voxels), _by_labels(levels))


def _by_formula(shape: NeckShape) -> Level:
    truth = neck_truth(shape)

    def level_of(point_mm: np.ndarray) -> str:
        at = float(truth.position_of(point_mm))
        return next((name for name, (start, stop) in truth.level_bounds_mm.items() if start <= at < stop), "")

    return level_of


def _by_labels(labels: Volume) -> Level:
    def level_of(point_mm: np.ndarray) -> str:
        index = np.rint(labels.to_indices(point_mm)).astype(int)
        if (index < 0).any() or (index >= labels.shape).any():
            return ""
        code = int(labels.voxels[tuple(index)])
        return level_name(code) if code else ""

    return level_of


def _levels(predictor: Predictor, scan: Scan) -> list[tuple[str, float]]:
    """Return the mean CSA of each level that has enough slices, from above, as a report says it.

    The first and the last level are cut by the image or the ends of the cord; a report warns where such are compared.
    """
    soft = predictor.predict(SourceImage(scan.group, scan.neck, scan.image, ())).soft
    if soft is None:
        return []
    profile = measure_cord(scan.image.with_voxels(soft))
    areas: dict[str, list[float]] = {}
    for one in reversed(profile.slices):
        if one.measured and one.section and not profile.csa_withheld:
            areas.setdefault(scan.level_of(one.section.centroid_mm), []).append(one.section.area_mm2)
    least = CordSettings().min_slices
    whole = list(areas.items())[1:-1]
    enough = {level: values for level, values in whole if level and len(values) >= least}
    return [(level, round(float(np.mean(values)), 2)) for level, values in enough.items()]


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["group"] for row in rows))
