"""The demo's comparison states the truth of the phantom, whatever the report says."""

import numpy as np
import pytest

from dicom_ai.analysis.measure import measure_study
from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.demo.compare import compare
from dicom_ai.dicom.sr_reader import Report
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind
from dicom_ai.domain.image import SourceFrame, SourceImage
from dicom_ai.imaging.neck_phantom import NeckShape, axial_grid, neck_phantom, sagittal_grid
from tests.predictors import BrightCord

CORD = Segment(1, Structure(StructureKind.SPINAL_CORD, "Spinal cord"), "Spinal cord", "2.25.1")
GRIDS = {
    "sagittal": sagittal_grid(NeckShape(), extent_mm=(24.0, 160.0, 60.0)),
    "axial": axial_grid(NeckShape(), extent_mm=(100.0, 50.0, 50.0)),
}


@pytest.fixture(scope="module", params=GRIDS)
def perfect(request):
    """A report on the phantom by a model that knows the cord exactly, and the image it lies on."""
    phantom = neck_phantom(NeckShape(), GRIDS[request.param])
    frames = tuple(SourceFrame("1.2", f"1.2.{number}") for number in range(phantom.image.shape[0]))
    source = SourceImage("1", "2", phantom.image, frames)
    cord = phantom.cord.voxels
    segmentation = Segmentation((cord >= 0.5).astype(np.uint8), (CORD,), score=1.0, soft=cord)
    model = BrightCord().reference
    analysis = SeriesAnalysis(None, source, "cord", model, ("spinal_cord_csa",), segmentation, 0.0)
    findings = measure_study([analysis])[0].findings
    return Report("1", "", "", True, findings, (), ()), [source], phantom.truth


def test_a_perfect_mask_is_within_two_percent_everywhere(perfect):
    report, sources, truth = perfect

    rows = compare(report, sources, truth)

    differences = [row.difference_percent for row in rows if row.difference_percent is not None]
    assert len(differences) >= 6
    assert max(abs(value) for value in differences) < 2.0


def test_a_mask_that_is_a_tenth_too_large_is_not_within(perfect):
    report, sources, truth = perfect

    rows = compare(report, sources, truth)
    swollen = [type(row)(row.series_uid, row.site, row.what, row.true_mm2 * 1.1, row.true_mm2) for row in rows]

    assert not any(row.within for row in swollen)
