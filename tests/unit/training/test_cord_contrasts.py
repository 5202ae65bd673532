"""Areas of one neck in several contrasts: what masks and model say at the same places."""

import nibabel
import numpy as np
import pytest

from dicom_ai.domain.findings import Segmentation
from dicom_ai.training import cord_contrasts
from dicom_ai.training.cord_contrasts import PlacedArea, area_at


class TakesTheImageForTheCord:
    """A predictor whose soft mask is the image itself."""

    def predict(self, image, *, progress=None):
        return Segmentation(np.zeros(image.image.shape, np.uint8), (), 1.0, np.asarray(image.image.voxels, np.float32))


def write_tube(path, *, radius_mm, thick_mm, slices, fine_mm=0.5):
    """An upright tube, (columns, rows, slices), its middle at the origin."""
    across = np.arange(-12, 12, fine_mm) + fine_mm / 2
    inside = np.hypot(*np.meshgrid(across, across, indexing="ij")) <= radius_mm
    affine = np.diag([fine_mm, fine_mm, thick_mm, 1.0])
    affine[:3, 3] = across[0], across[0], -thick_mm * (slices - 1) / 2
    voxels = np.repeat(inside[..., None], slices, axis=2).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


@pytest.fixture
def neck(tmp_path):
    """A neck of one radius in each image; the mask of T2* drawn a tenth too wide."""
    folder = tmp_path / "spinal_cord_mr"
    folder.mkdir()
    for name in cord_contrasts.SAME_SESSION:
        thick_mm, slices = (7.5, 7) if "t2s" in name else (1.0, 51)
        drawn = 5.5 if "t2s" in name else 5.0
        write_tube(folder / f"{name}.nii.gz", radius_mm=5.0, thick_mm=thick_mm, slices=slices)
        write_tube(folder / f"{name}_cord.nii.gz", radius_mm=drawn, thick_mm=thick_mm, slices=slices)
    return tmp_path


def test_a_mask_drawn_wider_is_told_from_a_model_that_says_the_same_in_each_contrast(neck):
    lines = cord_contrasts.same_session(TakesTheImageForTheCord(), neck)

    assert len(lines) == 3
    assert "masks differ by +0.0 %, the model's areas by +0.0 %" in lines[0]
    assert "t2s_crop and errsm30_t2_crop, 5 slices" in lines[1]  # of seven, the ends are not measured
    assert float(lines[1].split("masks differ by ")[1].split(" %")[0]) == pytest.approx(21.0, abs=1.5)
    assert lines[1].endswith("the model's areas by +0.0 %")


def test_without_the_images_nothing_is_said(tmp_path):
    assert cord_contrasts.same_session(TakesTheImageForTheCord(), tmp_path) == ()
    assert cord_contrasts.same_grid(TakesTheImageForTheCord(), tmp_path) == ()


def slice_at(height_mm, thick_mm, area_mm2=80.0):
    return PlacedArea(0, height_mm, thick_mm, area_mm2)


def test_a_thick_slice_is_compared_with_what_thin_ones_hold_in_it():
    thin = [slice_at(height, 1.0, area) for height, area in ((-1.0, 70.0), (0.0, 80.0), (1.0, 90.0), (2.0, 200.0))]

    assert area_at(thin, slice_at(0.0, 3.0)) == pytest.approx(80.0)
    assert area_at(thin, slice_at(0.5, 1.0)) == pytest.approx(85.0)  # half of each


def test_where_too_little_of_a_slice_is_measured_its_area_is_not_known():
    thin = [slice_at(0.0, 1.0), slice_at(1.0, 1.0)]

    assert area_at(thin, slice_at(0.5, 2.4)) == pytest.approx(80.0)
    assert area_at(thin, slice_at(0.5, 2.6)) is None
