"""CSA by level beside an earlier report: the numbers, what they mean, and what must be warned of."""

from dataclasses import replace
from datetime import UTC, datetime

import jsonschema
import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.analysis.findings_json import document
from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.measure import measure_study
from dicom_ai.analysis.prior import Earlier, meaning, with_prior
from dicom_ai.analysis.series import analyse_series
from dicom_ai.analysis.study import Terms, report_study
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.domain.model import ModelRepeatability
from dicom_ai.domain.prior import Change, Examination, Person
from dicom_ai.measurements.csa_plot import curve_from_entry
from tests.predictors import BrightCord
from tests.unit.analysis.conftest import RADIUS_MM, vertebra, write_cord_series
from tests.unit.analysis.test_study import SCHEMA

CREATED = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
AREA_MM2 = np.pi * RADIUS_MM**2
TODAY = Examination(Person("SYN001", "", "19700101", "O"), "2.25.1", "20260110")
LEVELS = ("C3", "C4")


def analysed(folder, **attributes):
    """Return the analysis of a straight cord of known area, with the levels C3 and C4 along it."""
    series = write_cord_series(folder, **{"SeriesDescription": "t2_ax", "EchoTime": 100.0, **attributes})
    image = analyse_series(series, BrightCord()).source.image
    top = float(image.to_mm(np.array([[0, 0, 0], [39, 0, 0]]))[:, 2].max())
    c3 = vertebra("C3", upper_mm=top - 4, lower_mm=top - 18)
    c4 = vertebra("C4", upper_mm=top - 20, lower_mm=top - 36, number=2)
    return replace(
        analyse_series(series, BrightCord().with_vertebrae(c3, c4)), repeatability=ModelRepeatability(3.0, 40)
    )


def reported(analysis, out, earlier=None):
    out.mkdir(exist_ok=True)
    identities = plan_identities([analysis], run=1, created_at=CREATED)
    terms = Terms(find_earlier=(lambda examination: earlier) if earlier else None)
    return report_study([analysis], [], identities=identities, out=out, complete=True, terms=terms)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The report of the same cord one year ago, as it is read back from its SR."""
    folder = tmp_path_factory.mktemp("before")
    reported(analysed(folder / "in", StudyDate="20250110"), folder / "out")
    return read_sr(folder / "out" / "sr.dcm")


@pytest.fixture(scope="module")
def now(tmp_path_factory):
    return analysed(tmp_path_factory.mktemp("now"))


def beside(analysis, earlier):
    return with_prior(measure_study([analysis]), TODAY, lambda examination: Earlier(earlier))


def larger_then(report, mm2):
    """Return the report with every mean CSA larger, so that the cord of now is smaller than then."""
    findings = tuple(
        replace(
            one,
            quantities=tuple(
                replace(item, value=item.value + mm2) if item.key == "csa_mean" else item for item in one.quantities
            ),
        )
        for one in report.findings
    )
    return replace(report, findings=findings)


def at(compared, site):
    (finding,) = [one for item in compared.measured for one in item.findings if one.site == site]
    return finding, {item.key: item.value for item in finding.quantities}


def test_an_unchanged_cord_is_within_measurement_error(before, now):
    compared = beside(now, before)

    finding, numbers = at(compared, "C3")
    assert numbers["csa_prior"] == numbers["csa_mean"] == pytest.approx(AREA_MM2, rel=0.01)
    assert (numbers["csa_change"], numbers["csa_change_percent"]) == (0.0, 0.0)
    assert finding.change is Change.WITHIN_ERROR
    assert "change since 2025-01-10 within measurement error (at most 3.0 mm2)" in finding.notes
    assert (compared.entry["state"], compared.entry["warnings"]) == ("compared", [])
    assert compared.notes == ("compared with the examination of 2025-01-10 at C3, C4",)


def test_a_cord_that_became_smaller_says_by_how_much(before, now):
    finding, numbers = at(beside(now, larger_then(before, 10.0)), "C4")

    assert numbers["csa_change"] == -10.0
    assert numbers["csa_prior"] == pytest.approx(numbers["csa_mean"] + 10.0, abs=1e-6)
    assert numbers["csa_change_percent"] == pytest.approx(-100 * 10.0 / (AREA_MM2 + 10.0), abs=0.1)
    assert finding.change is Change.SMALLER
    assert "smaller since 2025-01-10 by more than the measurement error (3.0 mm2)" in finding.notes


@pytest.mark.parametrize(
    ("change_mm2", "says"),
    [(3.0, Change.WITHIN_ERROR), (-3.0, Change.WITHIN_ERROR), (3.1, Change.LARGER), (-3.1, Change.SMALLER)],
)
def test_the_repeatability_parts_error_from_change(change_mm2, says):
    assert meaning(change_mm2, ModelRepeatability(2.96, 40)) is says


def test_without_a_stated_repeatability_no_change_is_judged(before, now):
    finding, _ = at(beside(replace(now, repeatability=None), before), "C3")

    assert finding.change is Change.UNKNOWN
    assert "change since 2025-01-10: the measurement error of this model is not known" in finding.notes


@pytest.mark.parametrize(
    ("attributes", "warning"),
    [
        ({"ManufacturerModelName": "Other"}, "warning: another scanner than in the prior (Synthetic Other 1 now, "),
        ({"EchoTime": 8.0, "RepetitionTime": 500.0, "SeriesDescription": "t1_ax"}, "warning: another contrast than in"),
    ],
)
def test_another_scanner_or_contrast_is_warned_of(before, tmp_path, attributes, warning):
    compared = beside(analysed(tmp_path / "in", **attributes), before)

    assert [note for note in at(compared, "C3")[0].notes if note.startswith(warning)]
    assert [note for note in compared.entry["warnings"] if note.startswith(warning)]


def test_another_version_and_other_weights_are_warned_of(before, now):
    newer = replace(now, model=replace(now.model, version="9.0"))
    other = replace(now, model=replace(now.model, digest="ef" * 32))

    (version,) = beside(newer, before).entry["warnings"]
    (weights,) = beside(other, before).entry["warnings"]

    assert version.startswith("warning: another model version than in the prior (bright-cord 9.0 now, bright-cord 1.0 ")
    assert weights.startswith("warning: other weights of bright-cord 1.0 than in the prior")


def test_an_old_report_that_does_not_say_its_scanner_is_warned_of(before, now):
    assert beside(now, replace(before, acquisitions={})).entry["warnings"] == [
        "warning: it is not known whether the prior has the same scanner",
        "warning: it is not known whether the prior has the same contrast",
    ]


def test_a_level_that_is_seen_in_part_is_warned_of(before, now):
    part = replace(
        before, findings=tuple(replace(one, notes=("cord is seen over 60 % of the level",)) for one in before.findings)
    )

    (warning,) = beside(now, part).entry["warnings"]
    assert warning == "warning: now or then the cord is seen over 60 % of the level: a change may come from that"


def test_another_family_of_models_is_not_compared_with(before, now):
    compared = beside(replace(now, model=replace(now.model, family="another")), before)

    assert compared.entry["state"] == "nothing in common"
    assert "csa_prior" not in at(compared, "C3")[1]


def test_a_silent_archive_leaves_findings_that_say_so(now):
    silent = Earlier(reason="pacs: no answer within 20 s", failed=True)
    compared = with_prior(measure_study([now]), TODAY, lambda examination: silent)

    assert compared.notes == ("no comparison with an earlier report: pacs: no answer within 20 s",)
    assert compared.entry == {"state": "failed", "reason": "pacs: no answer within 20 s"}
    assert at(compared, "C3")[0].change is None


def test_positions_are_not_compared_and_nobody_is_asked_for_them(cord_series):
    def refuse(examination):
        raise AssertionError("nobody is to be asked")

    assert with_prior(measure_study([analyse_series(cord_series, BrightCord())]), TODAY, refuse).entry is None


def test_sr_findings_json_and_plot_say_the_same_of_the_prior(before, now, tmp_path):
    made = reported(now, tmp_path, Earlier(larger_then(before, 10.0)))

    jsonschema.validate(document([made.findings]), SCHEMA)
    (series,) = made.findings["series"]
    entries = {one["site"]: one for one in series["findings"]}
    report = read_sr(tmp_path / "sr.dcm")
    for read in report.findings:
        said = {item["key"]: item["value"] for item in entries[read.site]["quantities"]}
        assert {item.key: item.value for item in read.quantities} == said
        assert (read.change.value if read.change else None) == entries[read.site]["change"]
    assert {site: entries[site]["change"] for site in LEVELS} == dict.fromkeys(LEVELS, "smaller")
    curve = curve_from_entry(series)
    assert [one.prior_mm2 for one in curve.stretches] == pytest.approx([AREA_MM2 + 10.0] * 2, rel=0.01)
    assert curve.prior == "Orange: mean of each level on 2025-01-10."


def test_the_sr_names_the_report_it_is_compared_with_and_draws_the_change_first(before, now, tmp_path):
    reported(now, tmp_path, Earlier(before))

    evidence = dcmread(tmp_path / "sr.dcm").PertinentOtherEvidenceSequence
    referenced = {
        str(item.ReferencedSOPInstanceUID)
        for study in evidence
        if study.StudyInstanceUID == before.study_uid
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    (c3,) = [one for one in read_sr(tmp_path / "sr.dcm").findings if one.site == "C3"]
    assert referenced == {before.sop_instance_uid}
    assert [item.key for item in c3.quantities][:5] == [
        "csa_mean",
        "csa_slice",
        "csa_change",
        "csa_change_percent",
        "csa_prior",
    ]
