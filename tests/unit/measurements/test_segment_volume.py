import numpy as np
import pytest

from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage, Volume
from dicom_ai.imaging.contours import polygon_area
from dicom_ai.measurements.segment_volume import segment_volumes

FRAMES = tuple(SourceFrame("1.2", f"1.2.{n}") for n in range(6))
BLOCK = Segment(1, Structure(StructureKind.OTHER, "Block"), "Block", "2.25.1")


def test_a_block_has_the_volume_of_its_voxels():
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[2:4, 5:10, 5:15] = 1
    image = Volume(np.zeros(labels.shape, np.float32), np.diag([3.0, 0.5, 0.5, 1.0]))

    (finding,) = segment_volumes(SourceImage("1", "2", image, FRAMES), Segmentation(labels, (BLOCK,), score=1.0))

    assert finding.quantities[0].value == pytest.approx(2 * 5 * 10 * 3.0 * 0.5 * 0.5)
    assert finding.contour.slice_index == 2
    assert abs(polygon_area(finding.contour.points)) == pytest.approx(50, rel=0.1)


def test_pixels_of_a_radiograph_have_no_volume():
    labels = np.ones((20, 20), np.uint8)
    film = SourceImage("1", "2", Radiograph(np.zeros(labels.shape, np.float32)), FRAMES[:1])

    assert segment_volumes(film, Segmentation(labels, (BLOCK,), score=1.0)) == ()
