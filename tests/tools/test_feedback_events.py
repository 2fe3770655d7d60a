"""Feedback counts once, and of people only."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from adapters.feedback.base import FeedbackEvent, Kind
from tests.contract.feedback_contract import NOW, told
from tools.observe.feedback_events import clean, mean, on_five, once, robot, unhappiest


def test_a_double_click_is_one_click_and_a_later_one_another() -> None:
    clicks = [told(0, Kind.CLICK), told(0.2, Kind.CLICK), told(0.6, Kind.CLICK), told(5, Kind.CLICK)]
    assert once(clicks) == [clicks[0], clicks[3]]


def test_clicks_on_other_documents_queries_or_of_other_users_are_no_repeats() -> None:
    clicks = [
        told(0, Kind.CLICK),
        told(0.1, Kind.CLICK, doc_id="d2"),
        told(0.2, Kind.CLICK, query="other"),
        told(0.3, Kind.CLICK, user_id="bob"),
        told(0.4, Kind.THUMB),
    ]
    assert once(clicks) == clicks


def test_of_a_changed_opinion_the_last_counts_and_a_new_one_is_another() -> None:
    ratings = [told(0, Kind.RATING, 1.0), told(2, Kind.RATING, 5.0), told(30, Kind.RATING, 3.0)]
    assert [event.value for event in once(ratings)] == [5.0, 3.0]


def test_an_event_told_twice_is_one_event_whenever_it_comes() -> None:
    events = [told(0, Kind.CLICK, event_id="a"), told(40, Kind.CLICK, event_id="a"), told(40, Kind.RATING, 2.0)]
    assert once(events) == [events[0], events[2]]


@pytest.mark.parametrize(
    ("agent", "found"),
    [
        ("Googlebot/2.1 (+http://www.google.com/bot.html)", True),
        ("Mozilla/5.0 (X11) HeadlessChrome/120.0", True),
        ("curl/8.4.0", True),
        ("python-requests/2.31", True),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36", False),
        ("Mozilla/5.0 (Linux; Android 9; CUBOT X19) Mobile", False),
        ("", False),
    ],
)
def test_robots_that_say_so_are_known_by_their_name(agent: str, found: bool) -> None:
    assert robot([told(0, Kind.CLICK, user_agent=agent)]) == ("user_agent" if found else "")


def test_more_events_in_a_minute_than_a_person_makes_are_a_robots() -> None:
    rng = Random(1)
    times = sorted(rng.uniform(0, 0.9) for _ in range(61))
    assert robot([told(t, Kind.CLICK, doc_id=str(t)) for t in times]) == "rate"
    assert robot([told(t, Kind.CLICK, doc_id=str(t)) for t in times[:60]]) == ""


def test_intervals_that_are_all_alike_are_a_robots() -> None:
    rng = Random(2)
    steady = [told(2.0 * n + rng.uniform(-0.01, 0.01), Kind.CLICK, doc_id=str(n)) for n in range(12)]
    human = [told(2.0 * n + rng.uniform(-0.9, 0.9), Kind.CLICK, doc_id=str(n)) for n in range(12)]
    assert robot(steady) == "timing"
    assert robot(human) == ""
    assert robot(steady[:10]) == ""


def test_nothing_a_robot_says_counts_and_why_is_told() -> None:
    people = [told(n, Kind.RATING, 5.0, user_id=f"u{n}") for n in range(5)]
    robots: list[FeedbackEvent] = [
        told(3.0 * n, Kind.RATING, 1.0, user_id="steady", query=str(n)) for n in range(20)
    ] + [told(7, Kind.THUMB, -1.0, user_id="named", user_agent="a-crawler/1.0"), told(9, Kind.CLICK, user_id="named")]
    kept = clean([*robots, *people])
    assert kept.events == people
    assert kept.robots == {"timing": 20, "user_agent": 2}
    assert kept.repeats == 0


def test_opinions_have_one_scale_and_a_click_is_none() -> None:
    opinions = [told(0, Kind.RATING, 2.0), told(0, Kind.THUMB), told(0, Kind.THUMB, -1.0), told(0, Kind.CLICK)]
    assert [on_five(event) for event in opinions] == [2.0, 5.0, 1.0, None]


def test_a_mean_carries_its_doubt() -> None:
    found = mean([1.0, 3.0, 5.0], "score_1_5", timedelta(hours=1), "x", NOW)
    assert (found.value, found.n) == (3.0, 3)
    assert found.stderr == pytest.approx((4 / 3) ** 0.5)
    assert mean([4.0], "s", timedelta(hours=1), "x", NOW).stderr is None
    assert not mean([], "s", timedelta(hours=1), "x", NOW).usable


def test_the_unhappiest_rest_on_enough_opinions() -> None:
    groups = {"one": [1.0], "bad": [2.0, 1.0, 3.0], "worse": [1.0, 1.0, 2.0], "fine": [5.0] * 9}
    assert [name for name, _, _ in unhappiest(groups, 3, 2)] == ["worse", "bad"]
    assert unhappiest(groups, 10, 5) == []
