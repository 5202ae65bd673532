import nibabel
import numpy as np
import pytest

from dicom_ai.dicom.nifti import is_nifti, read_nifti, write_nifti
from dicom_ai.domain.image import Volume
from dicom_ai.errors import NotDicom, UnsuitableGeometry

AFFINE = np.array([[0.0, 0.2, 0.9, -10.0], [0.1, 1.1, 0.0, 20.0], [-3.0, 0.0, 0.1, 30.0], [0, 0, 0, 1]])


def test_a_volume_comes_back_with_its_voxels_and_affine(tmp_path):
    volume = Volume(np.random.default_rng(0).random((4, 5, 6)).astype(np.float32), AFFINE)

    write_nifti(volume, tmp_path / "v.nii.gz")
    read = read_nifti(tmp_path / "v.nii.gz").image

    assert isinstance(read, Volume)
    assert np.array_equal(read.voxels, volume.voxels)
    assert read.affine == pytest.approx(AFFINE, abs=1e-6)


def test_other_software_sees_the_same_place_in_ras(tmp_path):
    volume = Volume(np.zeros((4, 5, 6), np.uint8), AFFINE)

    write_nifti(volume, tmp_path / "v.nii")
    image = nibabel.nifti1.load(tmp_path / "v.nii")

    x, y, z = volume.to_mm(np.array([1, 2, 3]))
    assert image.shape == (6, 5, 4)
    assert image.affine @ [3, 2, 1, 1] == pytest.approx([-x, -y, z, 1], abs=1e-4)
    assert image.get_data_dtype() == np.uint8
    assert image.get_qform(coded=True)[1] > 0


def test_single_trailing_axes_are_dropped_and_real_ones_refused(tmp_path):
    for count, name in ((1, "one"), (3, "three")):
        nibabel.nifti1.save(
            nibabel.nifti1.Nifti1Image(np.ones((4, 5, 6, count), np.int16), np.eye(4)), tmp_path / f"{name}.nii"
        )

    assert read_nifti(tmp_path / "one.nii").image.shape == (6, 5, 4)
    with pytest.raises(UnsuitableGeometry, match="three axes"):
        read_nifti(tmp_path / "three.nii")


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "x.nii").write_bytes(b"not an image")

    with pytest.raises(NotDicom):
        read_nifti(tmp_path / "x.nii")


def test_a_file_is_known_by_its_name(tmp_path):
    for name in ("a.nii", "b.NII.GZ", "c.dcm"):
        (tmp_path / name).touch()

    assert [is_nifti(tmp_path / name) for name in ("a.nii", "b.NII.GZ", "c.dcm", "absent.nii")] == [
        True,
        True,
        False,
        False,
    ]
