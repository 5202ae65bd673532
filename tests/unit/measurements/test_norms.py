"""CSA beside healthy cohorts: only where contrast, age, level and segmenter hold, never extrapolated."""

import pytest

from dicom_ai.domain.model import ModelOffset
from dicom_ai.measurements.norms import Comparison, NormalRange, NormContext, Withheld, cohorts, compare, normal_range

SEGMENTER = "SCT contrast-agnostic v3.1"


def compared(csa_mm2: float, level: str = "C3", **changes) -> Comparison | Withheld:
    facts = {"contrast": "T2w", "age_years": 30.0, "offset": ModelOffset(SEGMENTER, 0.0, 10)}
    return compare(csa_mm2, level, NormContext(**(facts | changes)))


def test_cohorts_reach_from_c1_to_t10_and_hold_c2_and_c3_pooled():
    assert list(cohorts()) == [
        *("C1", "C2", "C3", "C2-C3", "C4", "C5", "C6", "C7"),
        *(f"T{number}" for number in range(1, 11)),
    ]


def test_c2_c3_of_spine_generic_is_as_published():
    cohort = cohorts()["C2-C3"]

    assert (cohort.n, cohort.ages) == (203, (19, 52))
    assert cohort.mean_mm2 == pytest.approx(72.1, abs=0.05)
    assert cohort.sd_mm2 == pytest.approx(6.9, abs=0.05)


def test_the_mean_of_the_cohort_has_z_zero_and_lies_in_the_middle():
    comparison = compared(cohorts()["C3"].mean_mm2)

    assert isinstance(comparison, Comparison)
    assert comparison.z == pytest.approx(0.0)
    assert comparison.percentile == pytest.approx(50, abs=5)


def test_the_models_own_offset_is_taken_off_first():
    cohort = cohorts()["C3"]

    comparison = compared(cohort.mean_mm2 + 3.0, offset=ModelOffset(SEGMENTER, 3.0, 10))

    assert comparison.z == pytest.approx(0.0)


@pytest.mark.parametrize(("csa", "percentile"), [(20.0, 0.0), (150.0, 100.0)])
def test_beyond_everyone_the_percentile_is_0_or_100(csa, percentile):
    assert compared(csa).percentile == percentile


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"contrast": "T1w"}, "T2w only; this contrast is T1w"),
        ({"contrast": ""}, "not known"),
        ({"age_years": None}, "age is not known"),
        ({"age_years": 18.9}, "outside the cohort's 19-52"),
        ({"age_years": 53.0}, "outside the cohort's 19-52"),
        ({"level": "T11"}, "C1 to T10"),
        ({"level": "0-20 mm below top of cord seen"}, "no healthy cohort"),
        ({"offset": None}, "states no offset"),
        ({"offset": ModelOffset("another segmenter", 0.0, 10)}, "another segmenter"),
    ],
)
def test_norms_are_withheld_with_the_reason(changes, reason):
    withheld = compared(72.0, **changes)

    assert isinstance(withheld, Withheld)
    assert reason in withheld.reason


def test_a_cohort_whose_segmenter_is_not_stated_cannot_be_compared_with():
    withheld = compared(36.0, "T4", offset=ModelOffset("not stated", 0.0, 10))

    assert isinstance(withheld, Withheld)
    assert "not stated" in withheld.reason


def test_what_stands_beside_a_comparison_names_the_cohort():
    assert cohorts()["C3"].described() == (
        "spine-generic multi-subject, n=203, ages 19-52, T2w, segmenter SCT contrast-agnostic v3.1"
    )


def test_the_range_holds_the_middle_of_the_cohort_as_this_model_reads_it():
    found = normal_range("C2-C3", NormContext("T2w", 30.0, ModelOffset(SEGMENTER, -2.0, 10)))

    assert isinstance(found, NormalRange)
    assert (found.low_mm2, found.mean_mm2, found.high_mm2) == pytest.approx((58.9, 70.1, 84.4), abs=0.5)


@pytest.mark.parametrize("context", [NormContext("T1w", 30.0, None), NormContext("T2w", 70.0, None)])
def test_a_range_is_withheld_with_the_reason_of_the_comparison(context):
    found, compared_with = normal_range("C3", context), compare(70.0, "C3", context)

    assert isinstance(found, Withheld)
    assert found == compared_with
