"""Days as people name them, in the site's zone, and the moments at which they begin and end."""

from datetime import date, datetime, time, timedelta, tzinfo


def begin_of(text: str, zone: tzinfo | None) -> float | None:
    """Return when a day (2026-01-31) begins, in seconds since 1970; None for a text that names none."""
    return _midnight(text, zone, days=0)


def end_of(text: str, zone: tzinfo | None) -> float | None:
    """Return when a day is over."""
    return _midnight(text, zone, days=1)


def month_of(text: str, zone: tzinfo | None) -> tuple[datetime, datetime]:
    """Return when a month (2026-01) begins and when it is over; this month for a text that names none."""
    try:
        begin = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone)
        end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
        return _in_time(begin), _in_time(end)
    except (ValueError, OverflowError):
        return month_of(datetime.now(zone).strftime("%Y-%m"), zone)


def _in_time(moment: datetime) -> datetime:
    """Return a moment that counts in seconds since 1970. Raises ValueError or OverflowError."""
    moment.timestamp()
    return moment


def _midnight(text: str, zone: tzinfo | None, *, days: int) -> float | None:
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        return datetime.combine(day, time(), zone).timestamp()
    except (ValueError, OverflowError):
        return None
