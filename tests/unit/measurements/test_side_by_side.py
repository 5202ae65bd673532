"""Two models side by side: differences with answers in closed form."""

from math import isnan
from typing import Any

import pytest

from dicom_ai.measurements.side_by_side import agreements, compared


def entry(series_uid: str = "1.1", **areas: float | None) -> dict[str, Any]:
    return {
        "series_uid": series_uid,
        "findings": [
            {"site": site, "name": "Spinal cord", "quantities": [{"key": "csa_mean", "value": area}]}
            for site, area in areas.items()
        ],
    }


def test_a_difference_is_the_other_minus_the_one_site_by_site() -> None:
    found = compared([entry(C2=80.0, C3=75.0)], [entry(C2=78.0, C3=81.0)])

    assert [(pair.site, pair.difference, pair.percent) for pair in found.pairs] == [
        ("C2", -2.0, -2.5),
        ("C3", 6.0, 8.0),
    ]


def test_what_only_one_says_is_named_and_what_is_withheld_is_not_compared() -> None:
    found = compared([entry(C2=80.0, C3=75.0, C4=None)], [entry(C3=75.0, C4=70.0, C5=69.0)])

    assert [pair.site for pair in found.pairs] == ["C3"]
    assert (found.only_one, found.only_other) == (("C2",), ("C4", "C5"))


def test_series_are_not_mixed() -> None:
    assert compared([entry("1.1", C2=80.0)], [entry("1.2", C2=80.0)]).pairs == ()


def test_agreement_is_mean_difference_sd_and_the_pair_farthest_apart() -> None:
    found = compared([entry(C2=80.0, C3=75.0, C4=70.0)], [entry(C2=81.0, C3=78.0, C4=65.0)])

    (csa,) = agreements(found.pairs)

    assert (csa.key, csa.n) == ("csa_mean", 3)
    assert csa.bias == pytest.approx(-1 / 3)
    assert csa.sd == pytest.approx(4.163, abs=1e-3)
    assert (csa.worst.site, csa.worst.difference) == ("C4", -5.0)


def test_one_pair_has_no_sd_and_nothing_no_percent() -> None:
    found = compared([entry(C2=0.0)], [entry(C2=1.0)])

    (csa,) = agreements(found.pairs)

    assert isnan(csa.sd)
    assert isnan(found.pairs[0].percent)
