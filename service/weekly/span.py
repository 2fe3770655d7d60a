"""The stretch of time a report is about: an ISO week (ISO 8601, Monday to Sunday, UTC), or any days."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from domain.errors import InvalidInput

_WEEK = re.compile(r"(\d{4})-W(\d{2})")
_LONGEST = timedelta(days=400)
# Weeks before and behind these have to be dates as well.
_YEARS = range(1970, 9000)


class Span(BaseModel):
    """From `start` (included) to `end` (not), in UTC; `id` names it, and its report."""

    model_config = ConfigDict(frozen=True)

    id: str
    start: datetime
    end: datetime

    @property
    def before(self) -> Span:
        """The stretch of the same length right before."""
        length = self.end - self.start
        if _WEEK.fullmatch(self.id):
            return week_of(self.start - timedelta(days=1))
        return _days(self.start - length, self.start)

    @property
    def last_day(self) -> date:
        """The last day of it."""
        return (self.end - timedelta(microseconds=1)).date()

    def holds(self, moment: datetime) -> bool:
        """Whether a moment is in it."""
        return self.start <= moment < self.end


def week_of(moment: datetime) -> Span:
    """Return the week a moment is in."""
    day = moment.astimezone(UTC).date()
    year, number, _ = day.isocalendar()
    monday = date.fromisocalendar(year, number, 1)
    start = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
    return Span(id=f"{year}-W{number:02d}", start=start, end=start + timedelta(days=7))


def last_week(now: datetime) -> Span:
    """Return the last week that is over."""
    return week_of(week_of(now).start - timedelta(days=1))


def parsed(week: str, since: str, until: str, now: datetime) -> Span:
    """Return the stretch that was asked for: a week as ``2026-W47``, or days (`until` included); else the last week.

    Raises:
        InvalidInput: it is none; names the field.
    """
    if week:
        if since or until:
            raise InvalidInput("week", "and days were given", "Give --week, or --from and --to")
        found = _WEEK.fullmatch(week)
        try:
            if found is None:
                raise ValueError("it is no week")
            monday = date.fromisocalendar(_year(int(found[1])), int(found[2]), 1)
        except ValueError as problem:
            raise InvalidInput("week", f"{week!r}: {problem}", "Write it as 2026-W47") from None
        return week_of(datetime(monday.year, monday.month, monday.day, tzinfo=UTC))
    if not since and not until:
        return last_week(now)
    start, last = _day("from", since), _day("to", until)
    if not timedelta() < last + timedelta(days=1) - start <= _LONGEST:
        raise InvalidInput("to", "is before --from, or more than 400 days after it", "Give days in their order")
    return _days(start, last + timedelta(days=1))


def _days(start: datetime, end: datetime) -> Span:
    last = (end - timedelta(microseconds=1)).date()
    return Span(id=f"{start:%Y-%m-%d}_{last:%Y-%m-%d}", start=start, end=end)


def _day(field: str, text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
        _year(day.year)
    except ValueError:
        raise InvalidInput(
            field, f"{text!r} is no day", "Write it as 2026-11-16; --from and --to go together"
        ) from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _year(year: int) -> int:
    if year not in _YEARS:
        raise ValueError(f"there is nothing of the year {year}")
    return year
