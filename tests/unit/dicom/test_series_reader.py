import subprocess

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.series_reader import read_volume
from dicom_ai.domain.image import SourceImage, Volume
from dicom_ai.errors import UnreadablePixels, UnsuitableGeometry
from tests import builders
from tests.peers import need_program


def read(datasets: list[Dataset] | Dataset, folder) -> SourceImage:
    builders.write(datasets, folder)
    [series] = read_paths([folder]).series
    return read_volume(series)


def volume(datasets: list[Dataset] | Dataset, folder) -> Volume:
    image = read(datasets, folder).image
    assert isinstance(image, Volume)
    return image


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal"])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_voxel_lies_where_the_headers_put_it(tmp_path, plane, reverse):
    datasets = builders.mr_series(plane=plane, spacing_mm=(3.3, 0.5, 0.7), origin_mm=(-11, 22, 33))

    image = read(datasets[::-1] if reverse else datasets, tmp_path)

    assert isinstance(image.image, Volume)
    assert np.array_equal(image.image.voxels, builders.ramp((5, 24, 32)))
    assert [frame.sop_instance_uid for frame in image.frames] == [ds.SOPInstanceUID for ds in datasets]
    row, column = (np.array(vector) for vector in builders.DIRECTIONS[plane])
    # PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1
    expected = np.array([-11, 22, 33]) + 2 * 3.3 * np.cross(row, column) + column * 0.5 * 5 + row * 0.7 * 7
    assert image.image.to_mm(np.array([2, 5, 7])) == pytest.approx(expected)
    assert image.image.spacing_mm == pytest.approx([3.3, 0.5, 0.7])
    assert image.image.frame_of_reference_uid == datasets[0].FrameOfReferenceUID


def test_instance_numbers_and_file_names_do_not_decide_the_order(tmp_path):
    datasets = builders.mr_series()
    for ds, number in zip(datasets, [3, 1, 5, 2, 4], strict=True):
        ds.InstanceNumber = number

    voxels = volume([datasets[i] for i in (3, 0, 4, 1, 2)], tmp_path).voxels

    assert np.array_equal(voxels, builders.ramp((5, 24, 32)))


def test_an_oblique_stack_keeps_its_affine(tmp_path):
    directions = builders.oblique("axial", angle_deg=25)

    oblique = volume(builders.mr_series(directions=directions, spacing_mm=(5, 0.4, 0.4)), tmp_path)

    assert oblique.directions.T @ oblique.directions == pytest.approx(np.eye(3), abs=1e-6)
    assert np.degrees(np.arccos(oblique.directions[2, 0])) == pytest.approx(25, abs=1e-4)


def test_an_enhanced_object_gives_the_same_volume_as_classic_images(tmp_path):
    options = {"plane": "sagittal", "spacing_mm": (4.4, 0.8, 0.9), "origin_mm": (1.0, 2.0, 3.0)}
    classic = volume(builders.mr_series(**options), tmp_path / "classic")

    enhanced = read(builders.enhanced_mr(frame_order=(4, 0, 2, 1, 3), **options), tmp_path / "enhanced")

    assert isinstance(enhanced.image, Volume)
    assert np.array_equal(enhanced.image.voxels, classic.voxels)
    assert enhanced.image.affine == pytest.approx(classic.affine)
    assert [frame.frame_number for frame in enhanced.frames] == [2, 4, 3, 5, 1]


def test_rescale_of_an_enhanced_object_comes_from_its_groups(tmp_path):
    voxels = volume(builders.enhanced_mr(rescale=(0.5, -10)), tmp_path).voxels

    assert voxels == pytest.approx(builders.ramp((5, 24, 32)) * 0.5 - 10)


def test_each_image_has_its_own_rescale(tmp_path):
    datasets = builders.mr_series()
    for index, ds in enumerate(datasets):
        ds.RescaleSlope, ds.RescaleIntercept = str(index + 1), "-3"

    voxels = volume(datasets, tmp_path).voxels

    assert voxels[4] == pytest.approx(builders.ramp((5, 24, 32))[4] * 5.0 - 3)


def test_a_rescale_slope_of_zero_says_nothing(tmp_path):
    voxels = volume(builders.mr_series(RescaleSlope="0", RescaleIntercept="7"), tmp_path).voxels

    assert np.array_equal(voxels, builders.ramp((5, 24, 32)))


def test_a_modality_lookup_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [16, 0, 16], "US"
    table.add_new("LUTData", "US", [value * value for value in range(16)])
    voxels = np.arange(32).reshape(2, 4, 4) % 16

    read_back = volume(builders.mr_series(voxels, ModalityLUTSequence=[table]), tmp_path).voxels

    assert read_back == pytest.approx(voxels.astype(float) ** 2)


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (12, True), (16, True)])
def test_every_depth_and_sign_is_read(tmp_path, bits, signed):
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    voxels = np.linspace(low, high, 5 * 6 * 7).astype(int).reshape(5, 6, 7)

    assert np.array_equal(volume(builders.mr_series(voxels, bits_stored=bits, signed=signed), tmp_path).voxels, voxels)


def test_bits_above_the_stored_ones_are_no_pixels(tmp_path):
    dirty = builders.ramp((5, 24, 32)) | 0xF000

    assert np.array_equal(volume(builders.mr_series(dirty), tmp_path).voxels, builders.ramp((5, 24, 32)))


def test_monochrome1_is_turned_around(tmp_path):
    voxels = volume(builders.mr_series(PhotometricInterpretation="MONOCHROME1"), tmp_path).voxels

    assert np.array_equal(voxels, 4095 - builders.ramp((5, 24, 32)).astype(float))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_compression_changes_no_voxel(tmp_path, syntax, signed):
    voxels = builders.ramp((3, 64, 64)).astype(int) - (500 if signed else 0)
    datasets = builders.mr_series(voxels, signed=signed)
    for ds in datasets:
        ds.compress(syntax)

    assert np.array_equal(volume(datasets, tmp_path).voxels, voxels)


@pytest.mark.parametrize("option", ["+e1", "+el"])
def test_jpeg_lossless_changes_no_voxel(tmp_path, option):
    """+e1: 1.2.840.10008.1.2.4.70 (selection value 1); +el: 1.2.840.10008.1.2.4.57."""
    program = need_program("dcmcjpeg", package="dcmtk")
    for path in builders.write(builders.mr_series(), tmp_path):
        subprocess.run([program, option, path, path], check=True)

    [series] = read_paths([tmp_path]).series
    image = read_volume(series).image

    assert series.instances[0].transfer_syntax_uid in ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57")
    assert isinstance(image, Volume)
    assert np.array_equal(image.voxels, builders.ramp((5, 24, 32)))


def test_a_compressed_enhanced_object_is_read(tmp_path):
    ds = builders.enhanced_mr()
    ds.compress(RLELossless)

    assert np.array_equal(volume(ds, tmp_path).voxels, builders.ramp((5, 24, 32)))


def test_lossy_compression_is_said(tmp_path):
    assert "compressed with loss" in read(builders.mr_series(LossyImageCompression="01"), tmp_path).warnings[0]


def test_a_missing_slice_is_refused_with_the_numbers(tmp_path):
    datasets = builders.mr_series(spacing_mm=(3, 1, 1))
    del datasets[2]

    with pytest.raises(
        UnsuitableGeometry, match=r"slice gap 6\.00 mm where 3\.00 was expected, between slices 2 and 3"
    ):
        read(datasets, tmp_path)


def test_uneven_slices_within_the_tolerance_are_read_and_said(tmp_path):
    datasets = builders.mr_series(spacing_mm=(4, 1, 1))
    datasets[2].ImagePositionPatient[2] = float(datasets[2].ImagePositionPatient[2]) + 0.2

    assert read(datasets, tmp_path).warnings == ("slice spacing varies by up to 5 %",)


def test_one_slice_is_refused(tmp_path):
    with pytest.raises(UnsuitableGeometry, match="1 slice where a volume needs at least 2"):
        read(builders.mr_series()[:1], tmp_path)


def test_two_echoes_in_one_series_are_refused_by_name(tmp_path):
    first, second = builders.mr_series(study_uid="1.2", series_uid="1.2.3"), builders.mr_series(EchoTime="20")
    for ds in second:
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2", "1.2.3"
        ds.FrameOfReferenceUID = first[0].FrameOfReferenceUID

    with pytest.raises(UnsuitableGeometry, match="5 of 10 slices lie where another one lies; EchoTime is 20, 90"):
        read(first + second, tmp_path)


def test_two_echoes_in_one_enhanced_object_are_refused_by_name(tmp_path):
    with pytest.raises(UnsuitableGeometry, match="EchoTime is 20, 40"):
        read(builders.enhanced_mr(echo_times_ms=(20, 40)), tmp_path)


def test_several_times_are_refused_by_name(tmp_path):
    datasets = builders.mr_series()
    others = builders.mr_series(study_uid=datasets[0].StudyInstanceUID, series_uid=datasets[0].SeriesInstanceUID)
    for position, several in enumerate((datasets, others), start=1):
        for ds in several:
            ds.TemporalPositionIdentifier = str(position)

    with pytest.raises(UnsuitableGeometry, match="TemporalPositionIdentifier is 1, 2"):
        read(datasets + others, tmp_path)


def test_a_localizer_of_three_planes_is_refused(tmp_path):
    shared = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "voxels": builders.ramp((2, 8, 8))}
    datasets = [ds for plane in builders.DIRECTIONS for ds in builders.mr_series(plane=plane, **shared)]

    with pytest.raises(UnsuitableGeometry, match="mixed orientations: 2 axial, 2 coronal, 2 sagittal slices"):
        read(datasets, tmp_path)


def test_two_stacks_at_an_angle_are_refused_with_the_angle(tmp_path):
    shared = {"study_uid": "1.2.3", "series_uid": "1.2.3.4"}
    tilted = builders.oblique("axial", angle_deg=12)
    datasets = builders.mr_series(**shared) + builders.mr_series(directions=tilted, **shared)

    with pytest.raises(UnsuitableGeometry, match=r"12\.0 degrees apart"):
        read(datasets, tmp_path)


def test_mixed_sizes_are_refused(tmp_path):
    shared = {"study_uid": "1.2.3", "series_uid": "1.2.3.4"}
    datasets = builders.mr_series(**shared) + builders.mr_series(builders.ramp((2, 16, 16)), **shared)

    with pytest.raises(UnsuitableGeometry, match="mixed image sizes: 16 x 16, 24 x 32"):
        read(datasets, tmp_path)


def test_mixed_spacings_are_refused(tmp_path):
    datasets = builders.mr_series()
    datasets[1].PixelSpacing = ["1.2", "1.2"]

    with pytest.raises(UnsuitableGeometry, match=r"mixed pixel spacings: 1 to 1\.2 mm"):
        read(datasets, tmp_path)


def test_sideways_shifted_slices_are_refused(tmp_path):
    datasets = builders.mr_series()
    for index, ds in enumerate(datasets):
        ds.ImagePositionPatient[0] = float(ds.ImagePositionPatient[0]) + index

    with pytest.raises(UnsuitableGeometry, match=r"shifted sideways by up to 4\.00 mm"):
        read(datasets, tmp_path)


def test_several_frames_of_reference_are_refused(tmp_path):
    datasets = builders.mr_series()
    datasets[1].FrameOfReferenceUID = "1.2.3"

    with pytest.raises(UnsuitableGeometry, match="2 frames of reference"):
        read(datasets, tmp_path)


def test_images_without_a_place_are_refused(tmp_path):
    with pytest.raises(UnsuitableGeometry, match="no position, orientation or pixel spacing"):
        read(builders.mr_series(ImageOrientationPatient=None), tmp_path)


def test_colour_is_refused(tmp_path):
    with pytest.raises(UnreadablePixels, match=r"3 samples per pixel \(RGB\)"):
        read(builders.screenshot(), tmp_path)


def test_images_without_pixels_are_refused(tmp_path):
    with pytest.raises(UnreadablePixels, match="no pixels"):
        read(builders.mr_series(PixelData=None), tmp_path)


def test_pixels_in_a_syntax_that_cannot_be_decoded_are_refused(tmp_path):
    datasets = builders.mr_series()
    for ds in datasets:
        ds.compress(RLELossless)
    for path in builders.write(datasets, tmp_path):
        ds = dcmread(path)
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG2
        ds.save_as(path)
    [series] = read_paths([tmp_path]).series

    with pytest.raises(UnreadablePixels, match=r"MPEG2.*cannot be decoded"):
        read_volume(series)


def test_pixels_shorter_than_the_image_are_refused(tmp_path):
    datasets = builders.mr_series()
    datasets[3].PixelData = datasets[3].PixelData[:100]

    with pytest.raises(UnreadablePixels, match="cannot be decoded"):
        read(datasets, tmp_path)


def test_the_message_names_the_series_and_no_patient(tmp_path):
    datasets = builders.mr_series()[:1]

    with pytest.raises(UnsuitableGeometry) as refusal:
        read(datasets, tmp_path)

    assert str(refusal.value).startswith(f"series …{datasets[0].SeriesInstanceUID[-8:]}: ")
    assert "Phantom" not in str(refusal.value)
