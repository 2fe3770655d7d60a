"""Cron lines are read as cron reads them, and intervals count the same in every process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cycles.cron import Timing, parse_cron
from domain.errors import InvalidInput

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "latest", "following"),
    [
        ("30 3 * * 0", "2026-01-25 03:30", "2026-02-01 03:30"),
        ("30 3 * * 7", "2026-01-25 03:30", "2026-02-01 03:30"),
        ("0 2 * * *", "2026-01-31 02:00", "2026-02-01 02:00"),
        ("0 12 * * *", "2026-01-31 12:00", "2026-02-01 12:00"),
        ("*/15 * * * *", "2026-01-31 12:00", "2026-01-31 12:15"),
        ("0 0 29 2 *", "2024-02-29 00:00", "2028-02-29 00:00"),
        ("0 0 1,15 * 1-5/2", "2026-01-30 00:00", "2026-02-01 00:00"),
        ("5 4 */10 * *", "2026-01-31 04:05", "2026-02-01 04:05"),
    ],
)
def test_a_line_is_due_when_cron_says(line: str, latest: str, following: str) -> None:
    cron = parse_cron(line)
    assert f"{cron.latest(NOON):%Y-%m-%d %H:%M}" == latest
    assert f"{cron.following(NOON):%Y-%m-%d %H:%M}" == following


def _field(low: int, high: int, *, starred: bool = True) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    # A range of one is read by the other as the whole week.
    span = span.filter(lambda text: len(set(text.split("-"))) == 2)
    steps = st.integers(1, high).map(lambda n: f"*/{n}")
    # Whether */2 of a day counts as "any" is told differently; we hold with crontab(5).
    one = st.one_of(
        number.map(str), span, steps if starred else span, st.builds("{}/{}".format, span, st.integers(1, 9))
    )
    return st.one_of(st.just("*"), one, st.lists(number.map(str), min_size=2, max_size=3).map(",".join))


lines = st.tuples(
    _field(0, 59), _field(0, 23), _field(1, 28, starred=False), _field(1, 12), _field(0, 6, starred=False)
).map(" ".join)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


@given(lines, moments)
def test_any_line_agrees_with_a_well_kept_reader_of_cron(line: str, now: datetime) -> None:
    croniter: Any = pytest.importorskip("croniter").croniter
    ours = parse_cron(line)
    theirs = croniter(line, now)
    assert ours.following(now) == theirs.get_next(datetime)
    latest = ours.latest(now)
    assert latest <= now
    # Theirs says what was before, ours also counts this very moment.
    whole = now.replace(second=0, microsecond=0)
    assert latest in (croniter(line, now).get_prev(datetime), whole)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("* * * *", "4 fields, not five"),
        ("60 * * * *", "'60' is no minute"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day"),
        ("* * * 13 *", "'13' is no month"),
        ("* * * * 8", "'8' is no weekday"),
        ("*/0 * * * *", "'\\*/0' is no minute"),
        ("5-1 * * * *", "'5-1' is no minute"),
        ("@daily", "1 fields"),
        ("a * * * *", "'a' is no minute"),
        ("0 0 30 2 *", "due on no day of any year"),
    ],
)
def test_what_is_no_line_is_named(line: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_cron(line)
    with pytest.raises(ValidationError, match=said):
        Timing(cron=line)


def test_a_timing_is_either_a_line_or_an_interval() -> None:
    for wrong in ({}, {"cron": "* * * * *", "every": timedelta(hours=1)}, {"every": timedelta()}):
        with pytest.raises(ValidationError):
            Timing.model_validate(wrong)


@given(moments, st.integers(1, 10**7))
def test_an_interval_is_due_at_the_same_moments_whoever_asks(now: datetime, seconds: int) -> None:
    timing = Timing(every=timedelta(seconds=seconds))
    latest, following = timing.latest(now), timing.following(now)
    assert latest <= now < following
    assert following - latest == timedelta(seconds=seconds)
    assert timing.latest(following) == following
    assert timing.latest(following - timedelta(microseconds=1)) == latest
