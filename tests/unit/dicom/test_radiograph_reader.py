import numpy as np
import pytest

from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.radiograph_reader import read_radiograph
from dicom_ai.domain.image import Radiograph, SourceImage
from dicom_ai.errors import UnreadablePixels, UnsuitableImage
from tests import builders
from tests.peers import need_data

RAMP = builders.ramp((1, 160, 128))[0]


def read(datasets, folder) -> SourceImage:
    builders.write(datasets, folder)
    [series] = read_paths([folder]).series
    return read_radiograph(series)


def radiograph(datasets, folder) -> Radiograph:
    image = read(datasets, folder).image
    assert isinstance(image, Radiograph)
    return image


@pytest.mark.parametrize("modality", ["CR", "DX"])
def test_pixels_are_the_stored_ones_and_no_window_is_applied(tmp_path, modality):
    image = radiograph(builders.radiograph(modality=modality, WindowCenter="10", WindowWidth="5"), tmp_path)

    assert np.array_equal(image.pixels, RAMP)
    assert image.pixels.dtype == np.float32
    assert image.patient_orientation == ("A", "F")


def test_large_values_are_dense_in_either_photometric_interpretation(tmp_path):
    image = radiograph(builders.radiograph(PhotometricInterpretation="MONOCHROME1"), tmp_path)

    assert np.array_equal(image.pixels, 4095 - RAMP.astype(float))


def test_the_rescale_is_applied(tmp_path):
    image = radiograph(builders.radiograph(RescaleSlope="2", RescaleIntercept="-100"), tmp_path)

    assert np.array_equal(image.pixels, RAMP * 2.0 - 100)


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": ["0.4", "0.4"]}, None),
        ({"PixelSpacing": ["0.3", "0.35"]}, (0.3, 0.35)),
        ({"PixelSpacing": ["0.4", "0.4"], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.4, 0.4)),
        ({"PixelSpacing": ["0.3", "0.3"], "ImagerPixelSpacing": None}, None),
        ({"PixelSpacing": ["0", "0"], "PixelSpacingCalibrationType": "GEOMETRY"}, None),
    ],
)
def test_millimetres_are_given_only_where_the_spacing_holds_at_the_patient(tmp_path, attributes, spacing):
    assert radiograph(builders.radiograph(**attributes), tmp_path).pixel_spacing_mm == spacing


def test_a_tiny_image_is_refused(tmp_path):
    with pytest.raises(UnsuitableImage, match="16 x 16 pixels where at least 64"):
        read(builders.radiograph(RAMP[:16, :16]), tmp_path)


def test_several_images_are_refused(tmp_path):
    shared = {"study_uid": "1.2", "series_uid": "1.2.3"}

    with pytest.raises(UnsuitableImage, match="2 images in one series"):
        read([builders.radiograph(**shared), builders.radiograph(**shared)], tmp_path)


def test_a_blank_image_is_refused(tmp_path):
    with pytest.raises(UnreadablePixels, match="every pixel is 7"):
        read(builders.radiograph(np.full((80, 80), 7)), tmp_path)


def test_a_colour_image_is_refused(tmp_path):
    with pytest.raises(UnreadablePixels, match="colour"):
        read(builders.screenshot(Modality="CR"), tmp_path)


def test_burned_in_text_and_loss_are_said(tmp_path):
    warnings = read(builders.radiograph(BurnedInAnnotation="YES", LossyImageCompression="01"), tmp_path).warnings

    assert warnings == ("the source was compressed with loss", "text is burned into the image")


def test_a_real_study_shrunk_to_icons_is_refused_with_its_size():
    scan = read_paths(sorted(need_data("dicom").glob("cr_cspine*")))

    assert scan.series
    for series in scan.series:
        with pytest.raises(UnsuitableImage, match=r"16 x 16|images in one series"):
            read_radiograph(series)
