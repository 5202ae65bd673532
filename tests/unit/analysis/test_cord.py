"""The cord of a study of several series: which one wins, what the report says of the others, and who is compared."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from dicom_ai.analysis.cord import age_years, norm_context
from dicom_ai.analysis.findings_json import document
from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.measure import measure_study
from dicom_ai.analysis.series import SeriesAnalysis, analyse_series
from dicom_ai.analysis.study import report_study
from dicom_ai.dicom.headers import read_paths
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.findings import Finding, Segment, Structure, StructureKind
from dicom_ai.domain.model import ModelOffset
from dicom_ai.domain.study import Element
from dicom_ai.measurements.csa_plot import curve_from_entry
from dicom_ai.measurements.norms import cohorts
from dicom_ai.measurements.sites import NO_LEVEL
from tests import builders
from tests.peers import REPOSITORY
from tests.predictors import FULL, BrightCord
from tests.unit.analysis.conftest import vertebra

SCHEMA = json.loads((REPOSITORY / "docs" / "reference" / "findings.schema.json").read_text())
STUDY = {"study_uid": "2.25.7", "frame_of_reference_uid": "2.25.8"}
RADIUS_MM = 4.8
AREA_MM2 = np.pi * RADIUS_MM**2
SEGMENTER = "SCT contrast-agnostic v3.1"

AXIAL = {"plane": "axial", "spacing_mm": (4.0, 1.0, 1.0), "shape": (20, 32, 32), "SeriesNumber": 3}
SAGITTAL = {"plane": "sagittal", "spacing_mm": (1.0, 1.0, 1.0), "shape": (32, 80, 32), "SeriesNumber": 2}
THICK = {"plane": "sagittal", "spacing_mm": (3.3, 0.8, 0.8), "shape": (9, 100, 40), "SeriesNumber": 4}


def cord_analysis(folder: Path, predictor: BrightCord | None = None, **options) -> SeriesAnalysis:
    """A cord along z through the middle of a block from -40 to 40 mm, as a scan of one plane shows it."""
    plane, spacing, shape = (options.pop(key) for key in ("plane", "spacing_mm", "shape"))
    row, column = (np.array(vector) for vector in builders.DIRECTIONS[plane])
    axes = np.stack([np.cross(row, column), column, row], axis=1) * spacing
    origin = -axes @ ((np.array(shape) - 1) / 2)
    fine = np.stack(np.meshgrid(*[(np.arange(4) + 0.5) / 4 - 0.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    indices = np.moveaxis(np.indices(shape), 0, -1)[..., None, :] + fine
    points = indices @ axes.T + origin
    share = (np.hypot(points[..., 0], points[..., 1]) <= RADIUS_MM).mean(axis=-1)
    voxels = np.rint(share * FULL).astype(np.uint16)
    datasets = builders.mr_series(voxels, plane=plane, spacing_mm=spacing, origin_mm=tuple(origin), **STUDY | options)
    (series,) = read_paths(builders.write(datasets, folder)).series
    return analyse_series(series, predictor or BrightCord())


def c3_and_c4() -> BrightCord:
    """Vertebrae over the whole of the cord but its ends."""
    upper, lower = (
        vertebra("C3", upper_mm=30.0, lower_mm=2.0),
        vertebra("C4", upper_mm=-2.0, lower_mm=-30.0, number=2),
    )
    return BrightCord().with_vertebrae(upper, lower)


def number(finding: Finding, key: str):
    return next((item for item in finding.quantities if item.key == key), None)


def by_site(measured):
    return {finding.site: finding for finding in measured.findings}


def report(analyses, out: Path):
    identities = plan_identities(analyses, run=1, created_at=datetime(2026, 1, 10, tzinfo=UTC))
    return report_study(analyses, [], identities=identities, out=out, complete=True)


def test_axial_slices_win_over_sagittal_ones_of_the_same_cord(tmp_path):
    sagittal, axial = measure_study(
        [cord_analysis(tmp_path / "s", c3_and_c4(), **SAGITTAL), cord_analysis(tmp_path / "a", c3_and_c4(), **AXIAL)]
    )

    lost = number(by_site(sagittal)["C3"], "csa_mean")
    assert lost.value is None
    assert lost.reason == "measured on series 3 (axial) of this study, whose slices cut the cord across"
    assert number(by_site(sagittal)["C3"], "ap_midsagittal").value == pytest.approx(2 * RADIUS_MM * 0.99, abs=0.2)
    assert number(by_site(axial)["C3"], "csa_mean").value == pytest.approx(AREA_MM2, rel=0.02)


def test_what_the_axial_slices_do_not_reach_stays_with_the_sagittal_ones(tmp_path):
    short = AXIAL | {"shape": (10, 32, 32)}
    sagittal, _ = measure_study([cord_analysis(tmp_path / "s", **SAGITTAL), cord_analysis(tmp_path / "a", **short)])

    sites = by_site(sagittal)
    assert number(sites["0-20 mm below top of cord seen"], "csa_mean").value == pytest.approx(AREA_MM2, rel=0.02)
    assert number(sites["the cord seen"], "csa_mean").value == pytest.approx(AREA_MM2, rel=0.02)


@pytest.mark.parametrize("other", [{"frame_of_reference_uid": "2.25.9"}, {"spacing_mm": (4.0, 1.6, 1.6)}])
def test_an_axial_series_elsewhere_or_too_coarse_wins_nothing(tmp_path, other):
    sagittal, _ = measure_study(
        [cord_analysis(tmp_path / "s", **SAGITTAL), cord_analysis(tmp_path / "a", **AXIAL | other)]
    )

    assert all(number(finding, "csa_mean").value is not None for finding in sagittal.findings)


def test_thick_sagittal_slices_name_the_series_that_gives_a_csa(tmp_path):
    thick, _ = measure_study([cord_analysis(tmp_path / "t", **THICK), cord_analysis(tmp_path / "a", **AXIAL)])

    assert "3.3 mm right to left" in thick.notes[0]
    assert thick.notes[0].endswith("series 3 (axial) of this study does")
    assert number(thick.findings[0], "ap_midsagittal").value == pytest.approx(2 * RADIUS_MM, abs=0.3)


def test_alone_they_say_that_no_series_does(tmp_path):
    (thick,) = measure_study([cord_analysis(tmp_path / "t", **THICK)])

    assert thick.notes[0].endswith("no series of this study in which the cord was found does")
    assert thick.curve is None


def test_slices_of_thick_sagittal_series_carry_no_area_in_findings_json(tmp_path):
    made = report([cord_analysis(tmp_path / "t", **THICK)], tmp_path)

    (series,) = made.findings["series"]
    jsonschema.validate(document([made.findings]), SCHEMA)
    assert {one["area_mm2"] for one in series["slices"]} == {None}
    assert not any(one["valid"] for one in series["slices"])
    assert "3.3 mm right to left" in series["slices"][20]["reason"]
    assert series["slices"][20]["ap_mm"] == pytest.approx(2 * RADIUS_MM, abs=0.3)


def test_without_an_offset_the_report_says_once_why_nobody_is_compared(tmp_path):
    made = report([cord_analysis(tmp_path / "a", c3_and_c4(), **AXIAL)], tmp_path)

    said = [note for note in made.findings["notes"] if "no comparison with healthy people" in note]
    (in_series,) = [note for note in made.findings["series"][0]["notes"] if "healthy people" in note]
    assert said == [f"bright-cord: {in_series}"]
    assert "(C3, C4)" in in_series
    assert any("no comparison with healthy people" in note for note in read_sr(tmp_path / "sr.dcm").notes)


def test_with_an_offset_levels_are_compared_and_the_range_is_drawn(tmp_path):
    analysis = cord_analysis(tmp_path / "a", c3_and_c4(), PatientBirthDate="19900101", **AXIAL)
    made = report([replace(analysis, offset=ModelOffset(SEGMENTER, 2.0, 12))], tmp_path)

    (series,) = made.findings["series"]
    found = {item["site"]: item for item in series["findings"]}
    z_score = next(item for item in found["C3"]["quantities"] if item["key"] == "csa_z")
    cohort = cohorts()["C3"]
    assert z_score["value"] == pytest.approx((AREA_MM2 - 2.0 - cohort.mean_mm2) / cohort.sd_mm2, abs=0.15)
    assert f"segmenter {SEGMENTER}" in found["C3"]["notes"][-1]
    curve = curve_from_entry(series)
    assert [one.name for one in curve.stretches] == ["C3", "C4"]
    assert curve.stretches[0].normal.mean_mm2 == pytest.approx(cohort.mean_mm2 + 2.0, abs=0.06)
    assert "n=203" in curve.normal


def test_positions_say_in_the_report_that_no_level_is_known(tmp_path):
    made = report([cord_analysis(tmp_path / "a", **AXIAL)], tmp_path)

    in_json = [item["notes"] for item in made.findings["series"][0]["findings"][1:]]
    in_sr = [finding.notes for finding in read_sr(tmp_path / "sr.dcm").findings[1:]]
    assert len(in_json) == len(in_sr) == 4
    assert all(NO_LEVEL in notes for notes in [*in_json, *in_sr])


def test_the_canal_of_another_model_gives_ascor(tmp_path):
    cord = cord_analysis(tmp_path / "a", **AXIAL)
    points = cord.source.image.to_mm(np.moveaxis(np.indices(cord.source.image.shape), 0, -1))
    around = (np.hypot(points[..., 0], points[..., 1]) <= 8.0) & (cord.segmentation.labels == 0)
    canal = Structure(StructureKind.SPINAL_CANAL, "Spinal canal")
    drawn = cord.segmentation.__class__(around.astype(np.uint8), (Segment(1, canal, "canal", "2.25.3"),), 1.0)
    spine = SeriesAnalysis(cord.series, cord.source, "", cord.model, ("vertebrae",), drawn, 0.1)

    measured, _ = measure_study([cord, spine])

    ascor = number(measured.findings[0], "ascor_mean").value
    assert ascor == pytest.approx(100 * (RADIUS_MM / 8.0) ** 2, rel=0.04)


@pytest.mark.parametrize(
    ("description", "contrast"), [("t2_tse_tra", "T2w"), ("t1_tse_tra", "T1w"), ("t2_stir_sag", "STIR")]
)
def test_the_contrast_is_what_the_header_says(tmp_path, description, contrast):
    analysis = cord_analysis(
        tmp_path, **AXIAL, SeriesDescription=description, ProtocolName=description, EchoTime=None, RepetitionTime=None
    )

    assert norm_context(analysis).contrast == contrast


@pytest.mark.parametrize(
    ("header", "years"),
    [
        ({"PatientAge": "045Y"}, 45.0),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientBirthDate": "19800601", "StudyDate": "20200601"}, 40.0),
        ({"PatientAge": "040Y", "PatientBirthDate": "19800601", "StudyDate": "20201231"}, 40.6),
        ({"PatientAge": "050Y", "PatientBirthDate": "19800601", "StudyDate": "20200601"}, None),
        ({"PatientAge": "45"}, None),
        ({"PatientBirthDate": "19809901", "StudyDate": "20200601"}, None),
        ({"PatientBirthDate": "20200602", "StudyDate": "20200601"}, None),
        ({}, None),
    ],
)
def test_the_age_is_known_where_the_header_says_one(header, years):
    elements = {keyword: Element("LO", (text,)) for keyword, text in header.items()}

    assert age_years(elements) == (None if years is None else pytest.approx(years, abs=0.05))
