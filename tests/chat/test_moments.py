"""Days and times in a sentence become absolute ones, by the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from agents.operator.moments import Calendar, duration
from agents.operator.words import normalised, words

THURSDAY = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)


def period(text: str) -> tuple[str, str] | None:
    found, _ = Calendar(THURSDAY).period(words(normalised(text)))
    return None if found is None else (f"{found.start:%m-%d %H:%M}", f"{found.end:%m-%d %H:%M}")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("yesterday", ("03-11 00:00", "03-12 00:00")),
        ("the day before yesterday", ("03-10 00:00", "03-11 00:00")),
        ("last night", ("03-11 18:00", "03-12 06:00")),
        ("overnight", ("03-11 18:00", "03-12 06:00")),
        ("on Tuesday", ("03-10 00:00", "03-11 00:00")),
        ("Tuesday night", ("03-10 18:00", "03-11 06:00")),
        ("since Monday", ("03-09 00:00", "03-12 09:30")),
        ("last 24 hours", ("03-11 09:30", "03-12 09:30")),
        ("in the past two weeks", ("02-26 09:30", "03-12 09:30")),
        ("this week", ("03-09 00:00", "03-12 09:30")),
        ("two days ago", ("03-10 00:00", "03-11 00:00")),
        ("march 8", ("03-08 00:00", "03-09 00:00")),
        ("the 8th of march", ("03-08 00:00", "03-09 00:00")),
        ("2026-03-01", ("03-01 00:00", "03-02 00:00")),
        ("in february", ("02-01 00:00", "03-01 00:00")),
        ("during march", ("03-01 00:00", "03-12 09:30")),
        ("over the weekend", ("03-07 00:00", "03-09 00:00")),
        ("on black friday", None),
        ("next weekend", None),
        ("at some time", None),
        ("2026-13-45", None),
        ("next Tuesday", None),
    ],
)
def test_a_moment_is_resolved_against_the_clock(text: str, wanted: tuple[str, str] | None) -> None:
    assert period(text) == wanted


def test_a_day_is_one_that_has_begun() -> None:
    calendar = Calendar(THURSDAY)
    assert calendar.day(words("to tuesday"))[0] == date(2026, 3, 10)
    assert calendar.day(words("to 2027-01-01"))[0] is None


def test_a_day_of_last_december_is_not_one_of_next() -> None:
    found, _ = Calendar(THURSDAY).period(words("december 24"))
    assert found is not None
    assert found.start.year == 2025


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("for two hours", timedelta(hours=2)),
        ("for 30 minutes", timedelta(minutes=30)),
        ("for half an hour", timedelta(minutes=30)),
        ("for a day", timedelta(days=1)),
        ("for 3h", timedelta(hours=3)),
        ("for a while", None),
        ("for the next hour", timedelta(hours=1)),
        ("next week", None),
    ],
)
def test_a_duration_is_read(text: str, wanted: timedelta | None) -> None:
    assert duration(words(normalised(text)))[0] == wanted
