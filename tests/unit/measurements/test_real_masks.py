"""CSA of real manual masks: plausible, and the same for masks that are the same."""

import nibabel
import numpy as np
import pytest

from dicom_ai.domain.image import Volume
from dicom_ai.measurements.labelled_slices import levels_of_slices, slices_by_level
from dicom_ai.measurements.sct_mode import measure_cord_as_sct
from dicom_ai.measurements.spinal_cord_csa import measure_cord
from tests.peers import need_data


def read(name: str) -> Volume:
    image = nibabel.nifti1.load(need_data("spinal_cord_mr", f"{name}.nii.gz"))
    voxels = np.asarray(image.dataobj, dtype=np.float32)
    return Volume(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)


@pytest.mark.parametrize(
    ("name", "slices", "mean_mm2"),
    [
        ("errsm30_t2_crop_cord", 51, 77.8),
        ("errsm30_t1_crop_cord", 73, 70.4),
        ("errsm30_t2s_crop_cord", 7, 80.8),
        ("errsm30_mt1_crop_cord", 3, 76.4),
        ("unf01_T2w_cord", 12, 76.3),
        ("labels_only/unf01_T2w_seg", 14, 76.7),
    ],
)
def test_mean_csa_of_a_real_neck(name, slices, mean_mm2):
    areas = measure_cord(read(name)).areas_mm2

    assert np.isfinite(areas).sum() == slices
    assert np.nanmean(areas) == pytest.approx(mean_mm2, abs=0.1)


def test_the_toolboxs_way_agrees_with_ours_on_a_binary_mask():
    mask = read("errsm30_t2_crop_cord")
    ours = measure_cord(mask).areas_mm2

    difference = measure_cord_as_sct(mask).areas_mm2 - ours
    assert np.nanmax(np.abs(difference)) < 0.5


def test_levels_of_a_real_neck_run_from_c2_to_c5():
    profile = measure_cord(read("errsm30_t2_crop_cord"))
    levels = levels_of_slices(read("errsm30_t2_crop_levels"), profile)

    assert list(slices_by_level(profile, levels)) == [(2,), (3,), (4,), (5,), (2, 3)]
