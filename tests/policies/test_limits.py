"""When something may be promoted: windows by the wall clock of a place, across midnight, months and summer time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError
from policies.limits import ChangeWindows
from policies.packaged import packaged_profile
from policies.profiles import load_profile

BERLIN = ChangeWindows.model_validate(
    {
        "timezone": "Europe/Berlin",
        "closed": [{"days": ["fri"], "start": "12:00"}, {"days": ["sat", "sun"]}],
        "holidays": ["2026-12-25", "2026-03-30"],
    }
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-01-30T10:59", True),  # Friday, a minute before noon in Berlin
        ("2026-01-30T11:00", False),
        ("2026-01-31T03:00", False),
        ("2026-02-01T22:59", False),
        ("2026-02-01T23:00", True),  # Monday has begun in Berlin
        ("2026-07-03T10:00", False),  # Friday noon in summer is an hour earlier
        ("2026-07-03T09:59", True),
        ("2026-12-24T22:59", True),  # Thursday
        ("2026-12-24T23:00", False),  # the holiday has begun in Berlin
    ],
)
def test_a_window_follows_the_wall_clock_of_its_place(moment: str, is_open: bool) -> None:
    assert BERLIN.open_at(at(moment)) is is_open


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-01-28T10:00", "2026-01-28T10:00"),
        ("2026-01-30T11:00", "2026-02-01T23:00"),
        ("2026-03-27T12:00", "2026-03-30T22:00"),  # a weekend with a change to summer time, then a holiday
        ("2026-12-24T23:30", "2026-12-27T23:00"),
    ],
)
def test_the_next_opening_is_found(moment: str, opens: str) -> None:
    assert BERLIN.opens(at(moment)) == at(opens)


def test_what_never_opens_says_so() -> None:
    never = ChangeWindows.model_validate({"closed": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}]})
    assert never.opens(at("2026-01-01T00:00")) is None
    assert ChangeWindows().opens(at("2026-01-01T00:00")) == at("2026-01-01T00:00")


@given(st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 12, 31), timezones=st.just(UTC)))
def test_an_opening_is_open_and_never_before_now(moment: datetime) -> None:
    opens = BERLIN.opens(moment)
    assert opens is not None
    assert opens >= moment
    assert BERLIN.open_at(opens)
    assert BERLIN.open_at(moment) == (opens == moment)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"closed": [{"days": ["fri"], "start": "25:99"}]}, "time of day"),
        ({"closed": [{"days": ["fri"], "start": "12:00", "end": "11:00"}]}, "end must be after start"),
        ({"closed": [{"days": ["someday"]}]}, "Input should be"),
        ({"holidays": ["the 25th"]}, "valid date"),
    ],
)
def test_what_is_no_window_is_refused_with_the_reason(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ChangeWindows.model_validate(wrong)


def test_times_may_be_written_without_quotes_though_yaml_reads_them_as_minutes() -> None:
    text = packaged_profile("production").replace('start: "12:00"', "start: 12:30")
    closed = load_profile(text, file="production.yaml").windows.closed[0]
    assert closed.start == 12 * 60 + 30


def test_the_packaged_profiles_say_how_much_may_change() -> None:
    production = load_profile(packaged_profile("production"), file="production.yaml")
    assert not production.windows.open_at(at("2026-01-30T15:00"))
    assert date(2026, 12, 25) in production.windows.holidays
    assert production.limits.cool_down_after_bad > production.limits.cool_down > timedelta()
    assert production.limits.max_share_bp == 5000
    with pytest.raises(ConfigurationError, match="max_share"):
        load_profile(packaged_profile("dev").replace("max_share: 0.5", "max_share: 1.5"), file="dev.yaml")
