"""A lateral film through the table of measurers."""

import numpy as np

from dicom_ai.analysis.measure import measure_study
from dicom_ai.analysis.series import SeriesAnalysis
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage
from dicom_ai.domain.model import ModelReference


def analysis(measurements: tuple[str, ...]) -> SeriesAnalysis:
    """One body of 40 x 60 pixels, facing right."""
    labels = np.zeros((200, 200), np.uint8)
    labels[80:120, 70:130] = 1
    points = [np.array([0.0, -99.5, -row]) for row in (99.5, 80.0, 119.0)]
    vertebra = VertebraLabel("L3", "L3 vertebra", 1, "counted from C2", False, *points)
    segment = Segment(1, Structure(StructureKind.VERTEBRA, "L3 vertebra", "L3"), "L3 vertebra", "2.25.1")
    source = SourceImage("1.2", "1.2.3", Radiograph(np.zeros((200, 200), np.float32)), (SourceFrame("1.2", "1.2.4"),))
    found = Segmentation(labels, (segment,), 1.0, vertebrae=(vertebra,))
    return SeriesAnalysis(None, source, "", ModelReference("m", "1", "vertxnet", "0" * 64), measurements, found, 0.1)


def test_a_body_of_a_film_is_measured():
    [measured] = measure_study([analysis(("radiograph_vertebrae",))])

    [finding] = measured.findings
    assert finding.site == "L3"
    assert {q.key: q.value for q in finding.quantities}["wedge_ratio"] == 1.0


def test_curved_endplates_are_measured_where_the_manifest_asks():
    [measured] = measure_study([analysis(("radiograph_vertebrae", "radiograph_endplates"))])

    assert "biconcave_ratio" in {q.key for finding in measured.findings for q in finding.quantities}


def test_the_cord_is_not_looked_for_in_a_film():
    [measured] = measure_study([analysis(("spinal_cord_csa",))])

    assert measured.findings == ()
