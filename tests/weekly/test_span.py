"""Stretches of time: ISO weeks, days, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from service.weekly.span import last_week, parsed, week_of

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)


def test_a_week_begins_on_monday_and_holds_seven_days() -> None:
    week = parsed("2026-W47", "", "", NOW)
    assert (week.start, week.end - week.start) == (datetime(2026, 11, 16, tzinfo=UTC), timedelta(days=7))
    assert week.holds(week.start)
    assert not week.holds(week.end)
    assert week.before.id == "2026-W46"


def test_the_last_week_is_the_one_that_is_over() -> None:
    assert last_week(NOW).id == parsed("", "", "", NOW).id == "2026-W46"


def test_a_year_of_53_weeks_is_no_special_case() -> None:
    assert week_of(datetime(2027, 1, 1, tzinfo=UTC)).id == "2026-W53"
    assert parsed("2027-W01", "", "", NOW).before.id == "2026-W53"


def test_days_are_named_from_the_first_to_the_last() -> None:
    days = parsed("", "2026-11-01", "2026-11-10", NOW)
    assert days.id == "2026-11-01_2026-11-10"
    assert days.before.id == "2026-10-22_2026-10-31"


@pytest.mark.parametrize(
    ("week", "since", "until", "field"),
    [
        ("2026-W54", "", "", "week"),
        ("W47", "", "", "week"),
        ("2026-W47", "2026-11-01", "", "week"),
        ("", "2026-11-01", "", "to"),
        ("", "", "2026-11-01", "from"),
        ("", "2026-11-10", "2026-11-01", "to"),
        ("", "2024-01-01", "2026-11-01", "to"),
        ("", "yesterday", "2026-11-01", "from"),
    ],
)
def test_what_is_no_stretch_is_refused_by_its_field(week: str, since: str, until: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(week, since, until, NOW)
    assert refused.value.field == field


@given(st.datetimes(min_value=datetime(2000, 1, 3), max_value=datetime(2100, 1, 1)))
def test_every_moment_is_in_exactly_one_week_and_weeks_follow_on_one_another(moment: datetime) -> None:
    at = moment.replace(tzinfo=UTC)
    week = week_of(at)
    assert week.holds(at)
    assert week.before.end == week.start
    assert parsed(week.id, "", "", NOW) == week
