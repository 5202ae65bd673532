"""NIfTI in and out for researchers. RAS+ of NIfTI becomes LPS+ here and back; no voxel is resampled."""

import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from dicom_ai.domain.image import SourceFrame, SourceImage, Volume
from dicom_ai.errors import NotDicom, UnsuitableGeometry

_ENDINGS = (".nii", ".nii.gz")
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_nifti(path: Path) -> bool:
    """Tell by its name whether a path is a NIfTI file."""
    return path.is_file() and path.name.lower().endswith(_ENDINGS)


def read_nifti(path: Path) -> SourceImage:
    """Return a 3-D NIfTI image as a series.

    Study and series UID hold the file's name: there is nothing else. Raises NotDicom, UnsuitableGeometry.
    """
    volume = read_nifti_volume(path)
    if min(volume.shape) < 2:
        raise UnsuitableGeometry(f"{path.name}: shape {volume.shape} where a volume of three axes is needed")
    frames = tuple(SourceFrame("", f"{path.name}#{index}") for index in range(volume.shape[0]))
    return SourceImage(path.name, path.name, volume, frames)


def read_nifti_volume(path: Path) -> Volume:
    """Return the voxels of a 3-D NIfTI file, float32; its axes become (slice, row, column), reversed, as DICOM counts.

    Raises NotDicom, UnsuitableGeometry.
    """
    try:
        image = nibabel.nifti1.load(path)
        voxels = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, HeaderDataError, WrapStructError, OSError, ValueError, EOFError, zlib.error) as error:
        raise NotDicom(f"{path.name}: not a NIfTI file that can be read ({type(error).__name__})") from None
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise UnsuitableGeometry(f"{path.name}: {voxels.ndim} dimensions where a volume of three axes is needed")
    affine = _RAS_TO_LPS @ np.asarray(image.affine, float)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise UnsuitableGeometry(f"{path.name}: its affine describes no volume")
    return Volume(np.ascontiguousarray(voxels.T), affine[:, [2, 1, 0, 3]])


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a volume with its exact affine (sform and qform); integer voxels stay integers."""
    affine = _RAS_TO_LPS @ volume.affine[:, [2, 1, 0, 3]]
    image = nibabel.nifti1.Nifti1Image(volume.voxels.T, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    nibabel.nifti1.save(image, path)
