"""Cases for the spinal cord: template, masks of ten people, formula necks, real necks, lumbar images without a cord.

Where the data lie and under which licence is said in the data's README; the model card repeats it.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import scipy.ndimage as ndi
from scipy.cluster.vq import kmeans2

from dicom_ai.imaging.neck_phantom import neck_phantom, random_shape, sagittal_grid
from dicom_ai.training.data.cases import Case

PAM50 = "PAM50 (De Leener 2018), distributed with the Spinal Cord Toolbox; PAM50_small_t2 MIT"
SPINE_GENERIC = "spine-generic by way of ivadomed (CC BY 4.0)"
SCT_DATA = "sct_testing_data and sct_example_data (Spinal Cord Toolbox, MIT)"
LUMBAR = "MyoSegmenTUM (Burian 2019) and Chu 2015 (Zenodo 22304) by way of JonathanRamos/fastcleverseg (GPL-3.0)"
FORMULA = "made by this project (dicom_ai.imaging.neck_phantom)"

HELD_OUT_PEOPLE = ("errsm30",)
"""People whose images no shipped weights may have seen, in any contrast."""
LUMBAR_TRAINING = (
    *(f"chu_{number:02d}" for number in (2, 5, 7, 9)),
    *(f"myosegmentum_{number:02d}" for number in range(1, 23, 3)),
)
"""Lumbar people in training; the others stay for the evaluation."""
TEXTURES = 8
"""Tissue clusters made of one image."""


def read_axial(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a NIfTI file along body axes: voxels (feet to head, front to back, right to left), and spacing_mm (3,)."""
    image = nib.as_closest_canonical(nib.load(path))
    voxels = np.asarray(image.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]
    return voxels, np.array(image.header.get_zooms()[2::-1], float)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cord_cases(data: Path, *, formula_necks: int = 20, processes: int = 2) -> Iterator[Case]:
    """Yield every case of the data folder; whoever trains leaves out the people that he scores (HELD_OUT_PEOPLE)."""
    yield template_case(data / "template")
    for path in sorted((data / "spinal_cord_mr" / "labels_only").glob("*_T2w_seg.nii.gz")):
        yield mask_case(path)
    for contrast in ("T1w", "T2w", "T2star"):
        yield neck_case(data / "spinal_cord_mr", "unf01", contrast, SPINE_GENERIC)
    for contrast in ("t1_crop", "t2_crop"):  # its others have slices 7 to 17 mm thick
        yield neck_case(data / "spinal_cord_mr", "errsm30", contrast, SCT_DATA)
    for name in LUMBAR_TRAINING:
        yield from lumbar_cases(data / "spine_mr", name)
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(formula_case, range(formula_necks))


def template_case(folder: Path) -> Case:
    """PAM50 at 0.5 mm: background clustered from its T2 image, vertebrae, CSF, cord, grey matter."""
    cord = read_axial(folder / "PAM50_cord.nii.gz")[0] > 0
    canal = cord | (read_axial(folder / "PAM50_csf.nii.gz")[0] > 0)
    grey = read_axial(folder / "PAM50_gm.nii.gz")[0] * cord
    t2 = read_axial(folder / "PAM50_small_t2.nii.gz")[0].astype(np.float32)
    t2 = ndi.zoom(t2, np.array(cord.shape) / np.array(t2.shape), order=1)
    tissue = clustered(t2, TEXTURES)
    tissue[read_axial(folder / "PAM50_spine.nii.gz")[0] > 0.5] = TEXTURES
    tissue[canal] = TEXTURES + 1
    arrays = {"tissue": tissue, "cord": _share(cord), "canal": _share(canal), "grey": _share(grey)}
    return Case("pam50", "template", "labels", 0.5, PAM50, arrays)


def mask_case(path: Path) -> Case:
    """Cord and CSF masks of one person, 0.5 x 0.5 x 5 mm, as shapes at 1 mm; there is no image."""
    person = path.name.split("_")[0]
    shapes = {}
    for key, name in (("cord", path.name), ("csf", f"{person}_T2w_csfseg.nii.gz")):
        mask, spacing = read_axial(path.with_name(name))
        shapes[key] = (mask > 0, spacing)
    cord, spacing = shapes["cord"]
    canal = shapes["csf"][0] | cord
    middle = np.rint(ndi.center_of_mass(cord)).astype(int)
    half = np.rint(50 / spacing[1:]).astype(int)
    window = (slice(None), *(slice(max(0, m - h), m + h) for m, h in zip(middle[1:], half, strict=True)))
    arrays = {key: _isotropic(mask[window], spacing) for key, mask in (("cord", cord), ("canal", canal))}
    return Case(f"{person}_masks", person, "labels", 1.0, SPINE_GENERIC, arrays)


def neck_case(folder: Path, person: str, contrast: str, source: str) -> Case:
    """One real contrast of a person at 1 mm with the manual cord mask."""
    image, _ = read_axial(folder / f"{person}_{contrast}.nii.gz")
    cord, _ = read_axial(folder / f"{person}_{contrast}_cord.nii.gz")
    arrays = {"image": as_bytes(image), "cord": ((cord > 0.5) * 255).astype(np.uint8)}
    return Case(f"{person}_{contrast}", person, "image", 1.0, source, arrays)


def lumbar_cases(folder: Path, name: str) -> Iterator[Case]:
    """A lumbar image up to the upper edge of L3, where no cord is left (the conus ends above), and its clusters."""
    image, _ = read_axial(folder / f"{name}_image.nii.gz")
    labels, _ = read_axial(folder / f"{name}_labels.nii.gz")
    top = int(np.flatnonzero((labels == 3).any(axis=(1, 2)))[-1])  # 1 is L5, 3 is L3
    image = image[:top]
    yield Case(f"{name}_below_l3", name, "image", 1.0, LUMBAR, {"image": as_bytes(image)})
    yield Case(
        f"{name}_clusters", name, "texture", 1.0, LUMBAR, {"tissue": clustered(image.astype(np.float32), TEXTURES)}
    )


def formula_case(
    seed: int, *, extent_mm: tuple[float, float, float] = (96.0, 250.0, 170.0), top_mm: float = 50.0
) -> Case:
    """A neck made from formulas, 1 mm. extent_mm: right to left, downward, backward. top_mm: above the cord's top."""
    shape = random_shape(seed)
    grid = sagittal_grid(shape, extent_mm=extent_mm, top_mm=top_mm)
    phantom = neck_phantom(shape, grid, seed=seed)
    # The grid runs right to left, downward, backward; cases run upward, backward, right to left.
    turned = {
        "tissue": phantom.tissues.voxels,
        "cord": np.rint(phantom.cord.voxels * 255).astype(np.uint8),
        "canal": np.rint(phantom.canal.voxels * 255).astype(np.uint8),
    }
    arrays = {key: np.ascontiguousarray(array.transpose(1, 2, 0)[::-1]) for key, array in turned.items()}
    return Case(f"formula_{seed:02d}", f"formula_{seed:02d}", "labels", 1.0, FORMULA, arrays)


def clustered(image: np.ndarray, count: int) -> np.ndarray:
    """Return `count` clusters of the logarithm of a slightly smoothed image, ordered by brightness, uint8."""
    values = np.log1p(np.clip(ndi.gaussian_filter(image, 0.7), 0, None))
    sample = values.ravel()[np.random.default_rng(0).integers(0, values.size, 40_000)]
    centres = np.sort(kmeans2(sample[:, None].astype(float), count, minit="++", seed=1)[0].ravel())
    return np.searchsorted(0.5 * (centres[1:] + centres[:-1]), values).astype(np.uint8)


def as_bytes(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8 between its 0.1 and 99.9 percentiles."""
    low, high = np.percentile(image, (0.1, 99.9))
    return np.rint(np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def _share(mask: np.ndarray) -> np.ndarray:
    """Return a 0.5 mm mask averaged over 1 mm cubes, at 0.5 mm, times 255."""
    shifted = ndi.uniform_filter(mask.astype(np.float32), 2)
    return np.rint(np.clip(shifted, 0, 1) * 255).astype(np.uint8)


def _isotropic(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return a stack of binary slices as a soft shape at 1 mm, times 255.

    Between slices the signed distance is interpolated, so that a shifted or growing outline moves and does not fade;
    then 2 x 2 pixels of 0.5 mm are averaged.
    """
    distance = np.stack([ndi.distance_transform_edt(s) - ndi.distance_transform_edt(~s) for s in mask])
    distance = ndi.gaussian_filter(distance, (0, 0.7, 0.7))
    steps = np.arange(0.0, (len(mask) - 1) * spacing[0] + 1e-6, 1.0) / spacing[0]
    low = np.minimum(steps.astype(int), len(mask) - 2)
    share = (steps - low)[:, None, None]
    between = distance[low] * (1 - share) + distance[low + 1] * share
    soft = np.clip(between + 0.5, 0, 1)  # a pixel's share by its distance from the outline
    rows, columns = soft.shape[1] // 2 * 2, soft.shape[2] // 2 * 2
    pooled = soft[:, :rows, :columns].reshape(len(soft), rows // 2, 2, columns // 2, 2).mean(axis=(2, 4))
    return np.rint(pooled * 255).astype(np.uint8)
