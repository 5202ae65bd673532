from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from dicom_ai.web.days import begin_of, end_of, month_of

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_day_begins_at_midnight_of_the_site() -> None:
    assert begin_of("2026-07-01", BERLIN) == datetime(2026, 6, 30, 22, tzinfo=UTC).timestamp()


def test_the_day_on_which_the_clocks_go_back_has_25_hours() -> None:
    begin, end = begin_of("2026-10-25", BERLIN), end_of("2026-10-25", BERLIN)

    assert begin is not None
    assert end is not None
    assert end - begin == 25 * 3600


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "9999-12-31"])
def test_what_names_no_day_has_no_end(text: str) -> None:
    assert end_of(text, BERLIN) is None


def test_december_is_over_with_the_year() -> None:
    begin, end = month_of("2026-12", BERLIN)

    assert (begin.isoformat(), end.isoformat()) == ("2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00")


@pytest.mark.parametrize("text", ["", "2026-13", "9999-12", "month"])
def test_what_names_no_month_is_this_one(text: str) -> None:
    assert month_of(text, UTC)[0].strftime("%Y-%m") == datetime.now(UTC).strftime("%Y-%m")
