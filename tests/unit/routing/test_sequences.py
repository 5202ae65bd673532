"""Facts about how a series was made."""

import pytest

from dicom_ai.routing.sequences import sequence_facts, times_ms
from tests.unit.routing.headers import header, mr, series


@pytest.mark.parametrize(
    ("description", "values", "family"),
    [
        ("t2_tse_sag", {}, "T2"),
        ("T1 SAG", {}, "T1"),
        ("SAG STIR", {}, "STIR"),
        ("AX MERGE", {}, "T2*"),
        ("t2*_medic_tra", {}, "T2*"),
        ("T2 SAG T1-T12", {}, "T2"),
        ("AX C2-T1 T2", {}, "T2"),
        ("PD SAG", {}, "PD"),
        ("T2 FLAIR AX", {}, "FLAIR"),
        ("mp2rage", {}, "MP2RAGE"),
        ("GRE-MT1", {}, "MT"),
        ("DWI", {}, "DWI"),
        ("tof", {}, "TOF"),
        ("sag", {"AcquisitionContrast": "T2_STAR"}, "T2*"),
        ("sag", {"EchoTime": 100, "RepetitionTime": 4000, "ScanningSequence": "SE"}, "T2"),
        ("sag", {"EchoTime": 10, "RepetitionTime": 600, "ScanningSequence": "SE"}, "T1"),
        ("sag", {"EchoTime": 14, "RepetitionTime": 600, "ScanningSequence": "GR"}, "T2*"),
        ("sag", {"EchoTime": 10, "RepetitionTime": 3000, "ScanningSequence": "SE"}, "PD"),
        ("sag", {}, None),
    ],
)
def test_contrast_family(description, values, family):
    assert sequence_facts(mr(description, **values))["contrast"].value == family


@pytest.mark.parametrize(
    ("fact", "description", "values"),
    [
        ("diffusion", "ep2d_diff_b1000", {}),
        ("diffusion", "sag", {"ImageType": "ORIGINAL\\PRIMARY\\DIFFUSION\\NONE\\ND\\MOSAIC"}),
        ("diffusion", "sag", {"DiffusionBValue": 800}),
        ("diffusion", "sag", {"ImageType": "DERIVED\\PRIMARY\\ADC"}),
        ("echo_planar", "sag", {"ScanningSequence": "EP\\SE"}),
        ("echo_planar", "sag", {"ScanningSequence": "EP_SE"}),
        ("angiography", "TOF_3D_neck", {}),
        ("angiography", "AX MRA", {}),
        ("functional", "resting bold", {}),
        ("functional", "sag", {"ImageType": "ORIGINAL\\PRIMARY\\ASL"}),
        ("derived", "sag", {"ImageType": "DERIVED\\SECONDARY\\MPR"}),
        ("derived", "MIP sag", {}),
        ("derived", "sag", {"ImageType": "DERIVED\\PRIMARY\\SUBTRACTION"}),
        ("phase", "sag", {"ImageType": "ORIGINAL\\PRIMARY\\P\\ND"}),
        ("phase", "sag", {"ImageType": "ORIGINAL\\PRIMARY\\PHASE MAP\\P\\FFE"}),
        ("phase", "sag", {"ComplexImageComponent": "PHASE"}),
        ("localizer", "Loc", {}),
        ("localizer", "sag", {"ImageType": "ORIGINAL\\PRIMARY\\LOCALIZER"}),
        ("localizer", "3-plane", {}),
        ("screenshot", "sag", {"ImageType": "DERIVED\\SECONDARY\\SCREEN SAVE"}),
        ("screenshot", "sag", {"BurnedInAnnotation": "YES"}),
        ("screenshot", "sag", {"PhotometricInterpretation": "RGB"}),
        ("contrast_agent", "T1 sag +C", {}),
        ("contrast_agent", "T1 sag", {"ContrastBolusAgent": "Gadobutrol"}),
    ],
)
def test_signs_are_found_and_told(fact, description, values):
    found = sequence_facts(mr(description, **values))[fact]

    assert found.value is True
    assert found.evidence


def test_an_ordinary_series_has_no_sign_of_anything():
    facts = sequence_facts(mr("t2_tse_sag_p2", ScanningSequence="SE", SequenceName="*tse2d1_17"))

    assert [name for name, fact in facts.items() if fact.value is True] == []


def test_composed_whole_spines_are_not_derived():
    composed = "DERIVED\\PRIMARY\\M\\ND\\NORM\\COMPOSED"

    assert sequence_facts(mr("T2 sag", ImageType=composed))["derived"].value is False


def test_a_secondary_capture_is_a_screenshot_by_its_class():
    capture = series(sop_class="1.2.840.10008.5.1.4.1.1.7", Modality="MR")

    assert sequence_facts(capture)["screenshot"].value is True


def test_a_header_that_says_nothing_leaves_facts_unknown():
    facts = sequence_facts(series(Modality="MR"))

    assert facts["diffusion"].value is None
    assert facts["localizer"].value is None


def test_times_in_seconds_become_milliseconds():
    assert times_ms(header(EchoTime=0.12, RepetitionTime=2)) == (120, 2000)
    assert times_ms(header(EchoTime=3.2, RepetitionTime=2000)) == (3.2, 2000)
    assert times_ms(header(EchoTime=90)) == (90, None)
