"""What is reported, warned of, or held: each check on measured series with a known cord."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_ai.analysis.measure import Measured, measure_study
from dicom_ai.analysis.series import analyse_series
from dicom_ai.analysis.verdict import CHECKS, Doubt, Judged, judge
from dicom_ai.domain.findings import Finding, Quality, VertebraLabel
from dicom_ai.domain.image import Volume
from dicom_ai.domain.study import Series
from dicom_ai.domain.verdict import Thresholds, Verdict
from tests.peers import REPOSITORY
from tests.predictors import BrightCord
from tests.unit.analysis.conftest import RADIUS_MM, vertebra, write_cord_series

AREA = float(np.pi * RADIUS_MM**2)  # 113 mm2, which is more than a usual cord has
WIDE = Thresholds(area_warn_mm2=(10.0, 200.0), area_hold_mm2=(5.0, 300.0))
TOP_MM = 60.0


def cervical(*levels: str) -> tuple[VertebraLabel, ...]:
    """Vertebrae of 8 mm from above, one after another along the 40 mm of cord."""
    return tuple(
        vertebra(level, upper_mm=TOP_MM - 9 * place, lower_mm=TOP_MM - 9 * place - 8, number=place + 1)
        for place, level in enumerate(levels)
    )


def measured(series: Series, levels: Sequence[str] = ()) -> tuple[Measured, ...]:
    return measure_study([analyse_series(series, BrightCord().with_vertebrae(*cervical(*levels)))])


@pytest.fixture
def judged(cord_series: Series) -> Callable[..., Judged]:
    def put(*levels: str, thresholds: Thresholds = WIDE) -> Judged:
        return judge(measured(cord_series, levels), thresholds)

    return put


def reasons(judged: Judged) -> list[tuple[Verdict, str]]:
    return [(doubt.verdict, doubt.reason) for doubt in judged.doubts]


def findings(judged: Judged) -> Sequence[Finding]:
    return judged.measured[0].findings


def test_a_plain_cord_is_reported(judged: Callable[..., Judged]) -> None:
    found = judged("C3", "C4", "C5")

    assert (found.verdict, found.doubts) == (Verdict.REPORT, ())
    assert {finding.verdict for finding in findings(found)} == {Verdict.REPORT}


def test_levels_without_the_one_between_are_held_and_the_whole_cord_is_not_in_doubt(
    judged: Callable[..., Judged],
) -> None:
    found = judged("C3", "C5")

    assert reasons(found) == [(Verdict.HOLD, "a level is missing between C3 and C5")]
    assert {finding.site: finding.verdict for finding in findings(found)} == {
        "the cord seen": Verdict.REPORT,
        "C3": Verdict.HOLD,
        "C5": Verdict.HOLD,
    }
    assert all(finding.quality is not Quality.PASS for finding in findings(found) if finding.site_level)


@pytest.mark.parametrize("levels", [("C3", "C3", "C4"), ("C4", "C3")])
def test_a_level_that_occurs_twice_or_upside_down_is_held(judged: Callable[..., Judged], levels: tuple[str]) -> None:
    assert reasons(judged(*levels)) == [(Verdict.HOLD, f"levels are repeated or out of order: {', '.join(levels)}")]


@pytest.mark.parametrize("levels", [("T11", "T12", "L1"), ("T12", "T13", "L1"), ("T11", "L1"), ("L4", "S1")])
def test_spines_with_one_vertebra_more_or_less_lack_nothing(judged: Callable[..., Judged], levels: tuple[str]) -> None:
    assert judged(*levels, thresholds=replace(WIDE, body_part=Verdict.REPORT)).doubts == ()


@pytest.mark.parametrize(
    ("description", "levels", "doubted"),
    [
        ("t2 sag c-spine", ("T8", "T9"), True),
        ("t2 sag c-spine", ("C3", "C4"), False),
        ("t2 sag c-spine", ("T3", "T4"), False),
        ("t2 sag lumbar spine", ("C3", "C4"), True),
        ("t2 sag thoracic spine", ("C3", "C4"), True),
        ("t2 sag thoracic spine", ("C7", "T1"), False),
        ("t2 sag whole spine", ("C3", "C4"), False),
        ("t2 sag", ("L4", "L5"), False),
    ],
)
def test_levels_are_held_where_the_header_names_another_part_of_the_spine(
    tmp_path: Path, description: str, levels: tuple[str, ...], doubted: bool
) -> None:
    series = write_cord_series(tmp_path, SeriesDescription=description, BodyPartExamined="")

    found = judge(measured(series, levels), WIDE)

    assert (found.verdict is Verdict.HOLD) == doubted


def test_another_part_of_the_spine_is_named_with_what_was_found(tmp_path: Path) -> None:
    series = write_cord_series(tmp_path, SeriesDescription="t2 sag lumbar spine", BodyPartExamined="")

    (item,) = measured(series, ("C3", "C4"))
    (doubt,) = CHECKS["body_part"](item, WIDE)

    assert doubt.reason == "levels C3 to C4 were found where the header names the lumbar spine"


@pytest.mark.parametrize(
    ("warn", "hold", "verdict"),
    [
        ((25.0, 120.0), (10.0, 150.0), Verdict.REPORT),
        ((25.0, 105.0), (10.0, 150.0), Verdict.WARN),
        ((25.0, 105.0), (10.0, 110.0), Verdict.HOLD),
        ((120.0, 200.0), (10.0, 300.0), Verdict.WARN),
        ((120.0, 200.0), (115.0, 300.0), Verdict.HOLD),
    ],
)
def test_an_area_ends_by_the_limits_an_administrator_set(
    judged: Callable[..., Judged], warn: tuple[float, float], hold: tuple[float, float], verdict: Verdict
) -> None:
    found = judged(thresholds=Thresholds(area_warn_mm2=warn, area_hold_mm2=hold))

    assert pytest.approx(AREA, rel=0.01) == 113.1
    assert {finding.verdict for finding in findings(found)} == {verdict}


def jumping(series: Series, share: float) -> Measured:
    """The cord of a series, half of which has only a share of the area of the other."""
    analysis = analyse_series(series, BrightCord())
    image = analysis.source.image
    assert isinstance(image, Volume)
    assert analysis.segmentation.soft is not None
    soft = analysis.segmentation.soft.copy()
    rows, columns = np.indices(soft.shape[1:]) - (np.array(soft.shape[1:])[:, None, None] - 1) / 2
    soft[: len(soft) // 2, np.hypot(rows, columns) > RADIUS_MM * np.sqrt(share)] = 0
    (item,) = measure_study([replace(analysis, segmentation=replace(analysis.segmentation, soft=soft))])
    return item


@pytest.mark.parametrize(("share", "verdict"), [(1.0, Verdict.REPORT), (0.7, Verdict.WARN), (0.4, Verdict.HOLD)])
def test_a_jump_from_one_slice_to_the_next_concerns_the_whole_cord(
    cord_series: Series, share: float, verdict: Verdict
) -> None:
    doubts = list(CHECKS["jump"](jumping(cord_series, share), WIDE))

    assert [doubt.verdict for doubt in doubts] == [verdict]
    assert doubts[0].site == "the cord seen"
    assert re.fullmatch(
        r"the CSA changes by \d+ % from one slice to the next, at \d+ mm below the top of the cord seen",
        doubts[0].reason,
    )


def test_a_check_that_is_set_to_report_says_nothing(judged: Callable[..., Judged]) -> None:
    assert judged("C3", "C5", thresholds=replace(WIDE, missing_level=Verdict.REPORT)).doubts == ()


def test_the_reason_stands_with_the_finding_and_the_gravest_doubt_comes_first(judged: Callable[..., Judged]) -> None:
    found = judged("C3", "C5", thresholds=replace(WIDE, area_warn_mm2=(10.0, 100.0)))

    assert [doubt.verdict for doubt in found.doubts][:2] == [Verdict.HOLD, Verdict.WARN]
    (c3,) = [finding for finding in findings(found) if finding.site == "C3"]
    assert "a level is missing between C3 and C5" in c3.notes
    assert any("is outside of 10 to 100 mm2" in note for note in c3.notes)


def test_a_doubt_about_a_site_leaves_the_others_alone(judged: Callable[..., Judged]) -> None:
    doubt = Doubt(Verdict.WARN, "1.2", "C3", "")

    assert [doubt.concerns(finding) for finding in findings(judged("C3", "C4"))] == [False, True, False]


def test_every_check_is_explained() -> None:
    text = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")

    assert [name for name in CHECKS if f"`{name}" not in text] == []
