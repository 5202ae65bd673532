"""Which of several series of one acquisition is taken."""

from dicom_ai.routing.candidate import candidate_of
from dicom_ai.routing.ranking import losers
from tests.unit.routing.headers import AXIAL, SAGITTAL, mr, stack

NECK = {"BodyPartExamined": "CSPINE"}


def beaten(*series):
    return losers([candidate_of(one) for one in series])


def test_of_a_repeat_the_later_is_taken():
    first = mr("T2 sag", SAGITTAL, series_uid="1.1", SeriesNumber=3, **NECK)
    repeat = mr("T2 sag repeat", SAGITTAL, series_uid="1.2", SeriesNumber=5, **NECK)

    assert beaten(first, repeat) == {"1.1": "series 1.2 of the same acquisition was taken: it is the later one"}


def test_of_a_siemens_pair_the_corrected_is_taken():
    plain = mr("T2 sag_ND", SAGITTAL, series_uid="1.1", SeriesNumber=5, ImageType="ORIGINAL\\PRIMARY\\M\\ND", **NECK)
    corrected = mr(
        "T2 sag", SAGITTAL, series_uid="1.2", SeriesNumber=4, ImageType="ORIGINAL\\PRIMARY\\M\\DIS3D", **NECK
    )

    assert list(beaten(plain, corrected)) == ["1.1"]
    assert "distortion" in beaten(plain, corrected)["1.1"]


def test_before_a_contrast_agent_goes_before_after():
    before = mr("T1 sag", SAGITTAL, series_uid="1.1", SeriesNumber=3, **NECK)
    after = mr("T1 sag post Gd", SAGITTAL, series_uid="1.2", SeriesNumber=9, **NECK)

    assert list(beaten(before, after)) == ["1.2"]


def test_more_slices_and_finer_pixels_go_first():
    few = stack("T2 sag", series_uid="1.1", positions_mm=(0, 3, 6), **NECK)
    many = stack("T2 sag", series_uid="1.2", positions_mm=(0, 3, 6, 9), **NECK)
    fine = stack("T2 sag", series_uid="1.3", positions_mm=(0, 3, 6, 9), spacing_mm=(0.5, 0.5), size=(511, 511), **NECK)

    assert sorted(beaten(few, many, fine)) == ["1.1", "1.2"]


def test_different_contrasts_and_planes_do_not_compete():
    study = [
        mr("T2 sag", SAGITTAL, series_uid="1.1", **NECK),
        mr("T1 sag", SAGITTAL, series_uid="1.2", **NECK),
        mr("T2 ax", AXIAL, series_uid="1.3", **NECK),
        mr("GRE-MT0", AXIAL, series_uid="1.4", FlipAngle=9, **NECK),
        mr("GRE-MT1", AXIAL, series_uid="1.5", FlipAngle=9, ScanOptions="MT", **NECK),
        mr("GRE-T1w", AXIAL, series_uid="1.6", FlipAngle=15, **NECK),
    ]

    assert beaten(*study) == {}


def test_stations_of_a_whole_spine_do_not_compete():
    upper = stack("T2 sag", series_uid="1.1", BodyPartExamined="SPINE")
    lower = stack("T2 sag", series_uid="1.2", origin_mm=(0, 0, -240), BodyPartExamined="SPINE")

    assert beaten(upper, lower) == {}


def test_one_series_competes_with_nobody():
    assert beaten(mr("T2 sag", SAGITTAL, **NECK)) == {}
