"""Z-score and percentile join the findings of levels only, with their cohort or their reason."""

import pytest

from dicom_ai.domain.findings import Finding, Quality, Structure, StructureKind
from dicom_ai.domain.model import ModelOffset
from dicom_ai.measurements.norm_findings import with_norms
from dicom_ai.measurements.norms import NormContext, cohorts
from dicom_ai.measurements.sites import POOLED
from dicom_ai.measurements.table import quantity

OFFSET = ModelOffset("SCT contrast-agnostic v3.1", 2.0, 12)
HOLDS = NormContext("T2w", 30.0, OFFSET)


def finding(site: str, level: str | None, csa_mm2: float | None) -> Finding:
    return Finding(
        structure=Structure(StructureKind.SPINAL_CORD, "Spinal cord"),
        site=site,
        site_level=level,
        series_uid="1.2",
        tracking_id="cord",
        tracking_uid="2.25.1",
        quantities=(quantity("csa_mean", csa_mm2, reason="too few slices"),),
        quality=Quality.PASS,
    )


def test_a_level_gets_its_place_and_names_the_cohort_and_the_offset():
    mean = cohorts()["C4"].mean_mm2

    normed = with_norms([finding("C4", "C4", mean + 2.0 + cohorts()["C4"].sd_mm2)], HOLDS)

    (compared,) = normed.findings
    assert [(item.key, item.value) for item in compared.quantities[1:]] == [
        ("csa_z", 1.0),
        ("csa_percentile", pytest.approx(84, abs=5)),
    ]
    assert "n=203, ages 19-52, T2w, segmenter SCT contrast-agnostic v3.1" in compared.notes[0]
    assert "+2.0 mm2 that this model reads more, on 12 images" in compared.notes[0]
    assert normed.notes == ()


def test_c2_and_c3_pooled_have_their_own_cohort():
    (compared,) = with_norms([finding(POOLED, None, cohorts()["C2-C3"].mean_mm2 + 2.0)], HOLDS).findings

    assert compared.quantities[1].value == pytest.approx(0.0, abs=0.05)


def test_a_reason_that_holds_for_several_levels_is_said_once():
    found = [finding("C4", "C4", 75.0), finding("C5", "C5", 74.0), finding("T11", "T11", 40.0)]

    normed = with_norms(found, NormContext("T2w", 30.0, None))

    assert normed.findings == tuple(found)
    first, second = normed.notes
    assert "states no offset" in first
    assert first.endswith("(C4, C5)")
    assert "norms reach from C1 to T10" in second


@pytest.mark.parametrize("other", [finding("20-40 mm below top of cord seen", None, 70.0), finding("C4", "C4", None)])
def test_positions_and_levels_without_a_csa_stay_as_they_are(other):
    normed = with_norms([other], HOLDS)

    assert (normed.findings, normed.notes) == ((other,), ())
