"""Who is told what, and when: routes, quiet hours, and what never leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.notices.routing import Routes, ends_at
from service.notices.telling import Telling
from service.notify_sections import NoticeKind, NotifyConfig, QuietConfig

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALL = {
    "slack": {},
    "email": {"host": "mail", "sender": "e@x.org", "to": ["a@x.org"]},
    "webhook": {"url": "https://hook.example"},
}


def config(**fields: Any) -> NotifyConfig:
    return NotifyConfig.model_validate({**ALL, **fields})


def telling(**fields: Any) -> Telling:
    told = {"key": "k", "kind": "outcome", "severity": "info", "environment": "dev", "title": "t", "body": "b"}
    return Telling.model_validate({**told, **fields})


def test_without_routes_everything_goes_everywhere() -> None:
    assert Routes(config()).channels(telling()) == ("slack", "email", "webhook")


def test_a_route_takes_its_kinds_severities_and_environments() -> None:
    routes = Routes(
        config(
            routes=[
                {"kinds": ["approval", "handoff"], "channels": ["slack"]},
                {"severity": "critical", "environments": ["production"], "channels": ["email", "slack"]},
            ]
        )
    )
    assert routes.channels(telling(kind="approval")) == ("slack",)
    assert routes.channels(telling(severity="critical", environment="production")) == ("slack", "email")
    assert routes.channels(telling(severity="critical", environment="staging")) == ()
    assert routes.channels(telling(severity="critical", environment="")) == ("slack", "email")
    assert routes.channels(telling(severity="warning", environment="production")) == ()


def test_a_route_to_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"there is no section notify\.email"):
        NotifyConfig.model_validate({"slack": {}, "routes": [{"channels": ["email"]}]})


def test_links_lead_to_the_console() -> None:
    (first, *_) = Routes(config(public_url="https://evercrew.example/")).notices(telling(page="/cycles/c1"), NOW)
    assert first.link == "https://evercrew.example/cycles/c1"
    assert Routes(config(), "https://served.example").link("/x") == "https://served.example/x"
    assert Routes(config()).link("/x") == ""


NIGHT = QuietConfig.model_validate({"start": "20:00", "end": "07:30", "timezone": "Europe/Berlin"})


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        ("2026-11-20T18:59:00+00:00", None),
        ("2026-11-20T19:00:00+00:00", "2026-11-21T06:30:00+00:00"),
        ("2026-11-21T02:00:00+00:00", "2026-11-21T06:30:00+00:00"),
        ("2026-11-21T06:30:00+00:00", None),
        # The night in which the clock is put forward: by the wall it ends at half past seven all the same.
        ("2026-03-28T20:00:00+00:00", "2026-03-29T05:30:00+00:00"),
    ],
)
def test_quiet_hours_go_past_midnight_and_end_by_the_clock_on_the_wall(at: str, ends: str | None) -> None:
    found = ends_at(NIGHT, datetime.fromisoformat(at))
    assert found == (datetime.fromisoformat(ends) if ends else None)


def test_a_whole_evening_ends_at_midnight() -> None:
    evening = QuietConfig.model_validate({"start": "18:00", "end": "24:00"})
    assert ends_at(evening, datetime(2026, 11, 20, 23, tzinfo=UTC)) == datetime(2026, 11, 21, tzinfo=UTC)
    assert ends_at(evening, datetime(2026, 11, 21, 0, tzinfo=UTC)) is None


@given(st.integers(0, 24 * 60), st.integers(0, 24 * 60), st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)))
def test_when_quiet_hours_end_they_are_over(start: int, end: int, moment: datetime) -> None:
    if start == end:
        return
    quiet = QuietConfig(start=start, end=end, timezone="America/New_York")
    now = moment.replace(tzinfo=UTC)
    ends = ends_at(quiet, now)
    assert ends is None or timedelta() < ends - now <= timedelta(hours=25)


def test_what_is_critical_is_told_at_night_and_the_rest_in_the_morning() -> None:
    routes = Routes(config(quiet={"start": "20:00", "end": "07:00"}))
    night = NOW.replace(hour=23)
    assert routes.due(telling(severity="critical"), night) == night
    assert routes.due(telling(severity="warning"), night) == datetime(2026, 11, 21, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"quiet": {"start": "8:00", "end": "8:00"}},
        {"quiet": {"start": "1:00", "end": "2:00", "timezone": "Mars"}},
        {"rate": {"most": 1}},
        {"rate": {"per": "2d"}},
        {"public_url": "evercrew.example"},
        {"slak": {}},
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**fields)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ask ann.lee+x@mail.example.org", "ask <redacted>"),
        ("call +49 (30) 1234-5678 now", "call <redacted> now"),
        ("card 4111 1111 1111 1111.", "card <redacted>."),
        ("cycle si_2026_11_20_001 at 2026-11-20 12:00", "cycle si_2026_11_20_001 at 2026-11-20 12:00"),
        ("nDCG@10 0.361 -> 0.409, 5400 s of 3600 s", "nDCG@10 0.361 -> 0.409, 5400 s of 3600 s"),
        ("key sk-abcdefghijklmnop1234", "key <redacted>"),
        ("git clone https://user:pass@host/x", "git clone https://<redacted>@host/x"),
    ],
)
def test_secrets_and_what_leads_to_a_person_are_masked(text: str, left: str) -> None:
    fit = telling(title=text, body=text, facts=(("said", text),)).fit()
    assert (fit.title, fit.body, fit.facts) == (left, left, (("said", left),))


@given(st.text(max_size=500), st.text(max_size=6000))
def test_whatever_comes_from_outside_leaves_on_one_line_and_cut(title: str, body: str) -> None:
    fit = telling(title=title, body=body).fit()
    assert "\n" not in fit.title
    assert "\r" not in fit.title
    assert 1 <= len(fit.title) <= 200
    assert len(fit.body) <= 4000
    assert "\x1b" not in fit.body


def test_a_fact_without_a_value_is_left_out() -> None:
    assert telling(facts=(("a", ""), ("b", "1"))).fit().facts == (("b", "1"),)
    assert telling(kind=NoticeKind.BUDGET).kind == "budget"
