"""The shipped rules on real and invented headers: what must go to a model, and what never may."""

import json
import random
from collections.abc import Iterator

import pytest

from dicom_ai.domain.study import Element, Instance, Series
from dicom_ai.routing.contradictions import contradictions
from dicom_ai.routing.explain import route_study
from dicom_ai.routing.keywords import vr_by_keyword
from dicom_ai.routing.shipped import read_rules
from tests.peers import need_data
from tests.unit.routing.headers import AXIAL, CORONAL, MR_CLASS, SAGITTAL, mr, radiograph
from tests.unit.routing.non_spine import non_spine

RULES = read_rules()
BIDS_NAMES = {
    "ImageOrientationPatientDICOM": "ImageOrientationPatient",
    "ManufacturersModelName": "ManufacturerModelName",
    "ProcedureStepDescription": "PerformedProcedureStepDescription",
    "CoilString": "ReceiveCoilName",
    "PulseSequenceDetails": None,
    "PercentPhaseFOV": "PercentPhaseFieldOfView",
    "id": None,
}
"""Name in the header files -> DICOM keyword; None has no counterpart."""

MPRAGE = {
    "ScanningSequence": "GR\\IR",
    "MRAcquisitionType": "3D",
    "SliceThickness": 1,
    "EchoTime": 2.98,
    "RepetitionTime": 2300,
    "FlipAngle": 9,
}
T2_SPACE = {
    "ScanningSequence": "SE",
    "MRAcquisitionType": "3D",
    "SliceThickness": 0.8,
    "EchoTime": 408,
    "RepetitionTime": 3200,
    "FlipAngle": 120,
}
BRAIN_T2STAR = {
    "ScanningSequence": "GR",
    "MRAcquisitionType": "2D",
    "SliceThickness": 5,
    "EchoTime": 20,
    "RepetitionTime": 620,
    "FlipAngle": 20,
}
TURBO_SPIN_ECHO = {
    "ScanningSequence": "SE",
    "MRAcquisitionType": "2D",
    "SliceThickness": 5,
    "EchoTime": 100,
    "RepetitionTime": 5000,
    "FlipAngle": 150,
}

NOT_FOR_THE_CORD = [
    mr("t1_mprage_sag_p2_iso", SAGITTAL, BodyPartExamined="BRAIN", ReceiveCoilName="Head_32", **MPRAGE),
    mr("t1_mprage_sag", SAGITTAL, BodyPartExamined="HEAD", ReceiveCoilName="HeadNeck_64", **MPRAGE),
    mr("T1w", SAGITTAL, BodyPartExamined="BRAIN", ReceiveCoilName="HeadNeck_64", **MPRAGE),
    mr("T1w", SAGITTAL, ReceiveCoilName="HeadNeck_20", **MPRAGE),
    mr("SAG T1", SAGITTAL, BodyPartExamined="BRAIN", StudyDescription="MRI BRAIN W/O", ReceiveCoilName="HC1-7;NC1,2"),
    mr("AX T2 FLAIR", BodyPartExamined="HEAD", StudyDescription="MRI BRAIN"),
    mr("AX T2", BodyPartExamined="BRAIN", ReceiveCoilName="HNU", StudyDescription="MRI HEAD"),
    mr("t2_tse_tra", BodyPartExamined="BRAIN", ReceiveCoilName="HeadNeck_20"),
    mr("t2_tse_tra", BodyPartExamined="HEAD", ReceiveCoilName="HE1-4;NE1,2"),
    mr("t2_tse_tra", StudyDescription="MRT Schädel", ReceiveCoilName="HeadNeck_20"),
    mr("t2 tse tra", ReceiveCoilName="HeadNeck_64"),
    mr("t2_flair_sag_3d", SAGITTAL, ReceiveCoilName="HeadNeck_64", StudyDescription="MR Kopf"),
    mr("T2 SPACE sag", SAGITTAL, BodyPartExamined="BRAIN", ReceiveCoilName="HeadNeck_64", **T2_SPACE),
    mr("AX T2* GRE", BodyPartExamined="BRAIN", **BRAIN_T2STAR),
    mr("AX T2 FLAIR", BodyPartExamined="HEAD", StudyDescription="MRI BRAIN AND C SPINE"),
    mr("T2 ax", BodyPartExamined="BRAIN", StudyDescription="MRI BRAIN AND C SPINE"),
    mr("3D TOF COW", BodyPartExamined="BRAIN"),
    mr("TOF carotids", BodyPartExamined="CSPINE", StudyDescription="MRA NECK"),
    mr("SWI", BodyPartExamined="HEAD"),
    mr("ep2d_diff_b1000", BodyPartExamined="BRAIN"),
    mr("resting state bold", BodyPartExamined="BRAIN"),
    mr("pituitary sag T1", SAGITTAL),
    mr("IAC 3D CISS"),
    mr("orbits sag T1", SAGITTAL, ReceiveCoilName="HeadNeck_64"),
    mr("fetal brain haste sag", SAGITTAL),
    mr("PD FS SAG", SAGITTAL, BodyPartExamined="KNEE", ReceiveCoilName="TxRx_Knee_15Ch"),
    mr("T2 medic tra Knie"),
    mr("SAG PD", SAGITTAL, StudyDescription="MRI KNEE LEFT"),
    mr("PD sag", SAGITTAL, BodyPartExamined="KNEE", StudyDescription="MR SPINE"),
    mr("sag T2 shoulder", SAGITTAL, ReceiveCoilName="Shoulder_16"),
    mr("T1 cor", CORONAL, BodyPartExamined="HIP"),
    mr("T1 sag ankle", SAGITTAL),
    mr("t2_haste_tra_abdomen", BodyPartExamined="ABDOMEN", ReceiveCoilName="BO1,2;SP2-4"),
    mr("AX LAVA", ReceiveCoilName="Spine_32"),
    mr("T2 HASTE ax", BodyPartExamined="LIVER", ReceiveCoilName="Spine_32"),
    mr("MRCP", BodyPartExamined="ABDOMEN"),
    mr("T2 tse sag", SAGITTAL, BodyPartExamined="PELVIS", ReceiveCoilName="BO1,2;SP5-8"),
    mr("T2 sag rectum", SAGITTAL, ReceiveCoilName="Body_18"),
    mr("T2 sag", SAGITTAL, StudyDescription="MR PELVIS cervical cancer"),
    mr("SAG VIBRANT", SAGITTAL, BodyPartExamined="BREAST", ReceiveCoilName="8ch Breast"),
    mr("T2 tra Mamma"),
    mr("cine_sax", BodyPartExamined="HEART", ReceiveCoilName="SP2-4;BO1"),
    mr("4CH", StudyDescription="Cardiac MRI"),
    mr("T2 sag neck soft tissue", SAGITTAL, BodyPartExamined="NECK", StudyDescription="MR Neck"),
    mr("whole body STIR cor", CORONAL, BodyPartExamined="WHOLEBODY"),
    mr("bone marrow T1 pelvis", SAGITTAL),
    mr("localizer", BodyPartExamined="CSPINE"),
    mr("T2 loc sag", SAGITTAL, BodyPartExamined="CSPINE"),
    mr("Survey", SAGITTAL, BodyPartExamined="CSPINE"),
    mr("t2 cspine MIP", SAGITTAL, ImageType="DERIVED\\SECONDARY\\MIP"),
    mr("cspine MPR Range", SAGITTAL, ImageType="DERIVED\\SECONDARY\\MPR"),
    mr("cspine", SAGITTAL, ImageType="DERIVED\\PRIMARY\\SUB"),
    mr("cspine", ImageType="ORIGINAL\\PRIMARY\\P\\ND"),
    mr("gre_me cspine", ImageType="ORIGINAL\\PRIMARY\\PHASE MAP\\P\\FFE"),
    mr("screen save", SAGITTAL, ImageType="DERIVED\\SECONDARY\\SCREEN SAVE", BodyPartExamined="CSPINE"),
    mr("cspine T2 map", ImageType="DERIVED\\PRIMARY\\T2 MAP"),
    mr("cspine dwi"),
    mr("cspine T2 cor", CORONAL),
    mr("cspine T2", SAGITTAL, Modality="CT"),
    mr("cspine T2 sag", SAGITTAL, Manufacturer="dicom_ai"),
    mr("T2 cspine", ImageOrientationPatient=None),
    mr("Sag T1 lumbar", SAGITTAL, BodyPartExamined="LSPINE"),
]

FOR_MODELS = [
    (mr("T2 sag cspine", SAGITTAL, BodyPartExamined="CSPINE"), ["spinal-cord", "spine-mr"]),
    (mr("T2 sag cspine", SAGITTAL, BodyPartExamined="HEAD"), ["spinal-cord", "spine-mr"]),
    (mr("T2 ax cspine", BodyPartExamined="BRAIN"), ["spinal-cord"]),
    (mr("sag T2 HWS", SAGITTAL), ["spinal-cord", "spine-mr"]),
    (mr("T2 SAG T1-T12", SAGITTAL, BodyPartExamined="TSPINE"), ["spinal-cord", "spine-mr"]),
    (mr("STIR sag whole spine", SAGITTAL), ["spinal-cord", "spine-mr"]),
    (mr("T2 sag", SAGITTAL, BodyPartExamined="LSPINE"), ["spine-mr"]),
    (mr("t2_tse_sag", SAGITTAL, StudyDescription="IRM RACHIS LOMBAIRE"), ["spine-mr"]),
    (mr("T2 SAG", SAGITTAL, BodyPartExamined="BRAIN", StudyDescription="MR SPINE"), ["spinal-cord", "spine-mr"]),
    (mr("t1_mprage_cspine", SAGITTAL, BodyPartExamined="HEAD", **MPRAGE), ["spinal-cord", "spine-mr"]),
    (mr("t2_tse_sag", SAGITTAL, BodyPartExamined="BRAIN", ReceiveCoilName="HC5-7;NC1,2"), ["spinal-cord", "spine-mr"]),
    (mr("MEDIC tra C3-C7"), ["spinal-cord"]),
    (mr("頸椎 T2 SAG", SAGITTAL), ["spinal-cord", "spine-mr"]),
    (mr("T2 sag", SAGITTAL, RequestedProcedureDescription="RM midollo"), ["spinal-cord", "spine-mr"]),
    (radiograph("Cervical LAT", BodyPartExamined="CSPINE", ViewPosition="LL"), ["spine-xray"]),
    (radiograph("L spine", ViewPosition="LL", PatientOrientation="A\\F"), ["spine-xray"]),
    (radiograph("Cervical LAT", BodyPartExamined="CSPINE"), []),
    (radiograph("C spine", BodyPartExamined="CSPINE", ViewPosition="LL"), []),
    (radiograph("Cervical OBLI 1", BodyPartExamined="CSPINE", ViewPosition="AP"), []),
    (radiograph("Chest LAT", BodyPartExamined="CHEST", ViewPosition="LL"), []),
    (radiograph("Skull lateral", BodyPartExamined="SKULL", ViewPosition="LL"), []),
    (radiograph("C spine AP", BodyPartExamined="CSPINE", ViewPosition="AP"), []),
]


def models_for(series: Series) -> list[str]:
    return [decision.model for decision in route_study([series], RULES) if decision.taken]


def test_the_shipped_rules_are_on_and_can_match():
    assert [(rule.model, rule.state) for rule in RULES.rules] == [
        ("spinal-cord", "on"),
        ("spine-mr", "on"),
        ("spine-xray", "on"),
    ]
    assert contradictions(RULES) == []


@pytest.mark.parametrize("series", NOT_FOR_THE_CORD, ids=lambda one: one.header["SeriesDescription"].text)
def test_none_of_these_goes_to_the_cord_model(series):
    assert "spinal-cord" not in models_for(series)


@pytest.mark.parametrize(("series", "models"), FOR_MODELS)
def test_these_go_where_they_belong(series, models):
    assert models_for(series) == models


def test_no_brain_of_a_thousand_invented_ones_goes_to_a_model():
    assert [one for one in _brains(1000) if models_for(one)] == []


def test_no_series_of_two_thousand_invented_ones_without_the_spine_goes_to_a_model():
    assert [(region, one) for region, one in non_spine(2000) if models_for(one)] == []


@pytest.mark.parametrize("coil_strings", ["beside", "instead", "left out"])
def test_real_cord_scans_are_taken_and_their_diffusion_is_not(coil_strings):
    rows = real_headers()
    taken = {row["id"]: "spinal-cord" in models_for(from_bids(row, coil_strings)) for row in rows}
    complete = [row["id"] for row in rows if "Modality" in row and "ImageOrientationPatientDICOM" in row]
    wanted = [name for name in complete if name.endswith(("T1w", "T2w", "T2star", "MTS"))]

    assert sum(taken[name] for name in wanted) >= 0.97 * len(wanted)
    assert [name for name in taken if name.endswith("dwi") and taken[name]] == []


def test_most_real_cord_scans_are_taken_without_their_body_part():
    rows = real_headers()
    bare = [{name: value for name, value in row.items() if name != "BodyPartExamined"} for row in rows]
    wanted = [row for row in bare if "Modality" in row and not row["id"].endswith("dwi")]

    assert sum("spinal-cord" in models_for(from_bids(row, "beside")) for row in wanted) >= 0.95 * len(wanted)


def real_headers() -> list[dict]:
    text = need_data("mr_headers", "spine_generic.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def from_bids(row: dict, coil_strings: str) -> Series:
    """Return a series whose header says what a row of the header files says."""
    header: dict[str, Element] = {}
    for name, value in row.items():
        keyword = BIDS_NAMES.get(name, name)
        if keyword is None or (name == "CoilString" and coil_strings == "left out" and "ReceiveCoilName" in row):
            continue
        values = tuple(str(_in_dicom_units(keyword, one)) for one in (value if isinstance(value, list) else [value]))
        before = header[keyword].values if keyword in header and coil_strings == "beside" else ()
        header[keyword] = Element(vr_by_keyword()[keyword].split("/")[0], before + values)
    return Series("1.2", "1.2.3", (Instance("1.2.3.4", MR_CLASS, "1.2.840.10008.1.2.1", header),))


def _in_dicom_units(keyword: str, value: object) -> object:
    """BIDS writes times in seconds where DICOM writes milliseconds."""
    return value * 1000 if keyword in ("EchoTime", "RepetitionTime") and isinstance(value, int | float) else value


def _brains(count: int) -> Iterator[Series]:
    """Yield brains as archives hold them: labelled well, badly or not at all, with head or head-and-neck coils."""
    chance = random.Random(3)
    descriptions = [
        "t1_mprage_sag",
        "T1w",
        "T2w",
        "AX T2",
        "AX T2 FLAIR",
        "Cor T2",
        "AX SWI",
        "TOF",
        "DWI",
        "AX T2* GRE",
    ]
    coils = ["Head_32", "HeadNeck_64", "HE1-4", "HC1-7;NC1,2", "HNU", "8HRBRAIN", None]
    studies = ["MRI BRAIN", "MR Kopf", "IRM cérébrale", "RM encefalo", "Research", None]
    for _ in range(count):
        parameters = chance.choice([MPRAGE, T2_SPACE, BRAIN_T2STAR, TURBO_SPIN_ECHO])
        yield mr(
            chance.choice(descriptions),
            chance.choice([AXIAL, SAGITTAL]),
            BodyPartExamined=chance.choice(["BRAIN", "HEAD", "SKULL", None]),
            ReceiveCoilName=chance.choice(coils),
            StudyDescription=chance.choice(studies),
            **parameters,
        )
