"""What pages ask in the background: never longer than they have, never twice at a time."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

import pytest

from domain.clock import FrozenClock, SystemClock
from domain.errors import DependencyUnavailable
from service.web.background import MOST_KEPT, STILL_ASKING, Background
from tests.support.waiting import PATIENCE_S, until

LONG = timedelta(seconds=PATIENCE_S)


def test_an_answer_that_comes_in_time_is_given_at_once_and_kept_while_it_is_fresh() -> None:
    clock, asked = FrozenClock(), []
    background = Background(clock, wait=LONG, fresh=timedelta(seconds=10))

    def answer() -> int:
        asked.append(1)
        return len(asked)

    assert background.ask("a", answer).value == 1
    assert background.ask("a", answer).value == 1
    clock.advance(timedelta(seconds=11))
    assert background.ask("a", answer).value == 2
    background.close()


def test_a_page_waits_for_no_longer_than_it_has_and_is_told_what_was_known() -> None:
    clock, slow = FrozenClock(), threading.Event()
    background = Background(clock, wait=timedelta(milliseconds=30), fresh=timedelta(seconds=1))
    until(lambda: background.ask("a", lambda: "old").value == "old")
    clock.advance(timedelta(seconds=5))
    began = SystemClock().monotonic()
    known = background.ask("a", lambda: slow.wait(60) and "new")
    assert SystemClock().monotonic() - began < 30
    assert (known.value, known.problem, known.age) == ("old", STILL_ASKING, timedelta(seconds=5))
    slow.set()
    background.close()


def test_what_was_never_answered_is_told_as_not_known_and_asked_once_only() -> None:
    slow, asked = threading.Event(), []
    background = Background(SystemClock(), wait=timedelta(milliseconds=10))

    def answer() -> None:
        asked.append(1)
        slow.wait(PATIENCE_S)

    first, second = background.ask("a", answer), background.ask("a", answer)
    assert first.value is second.value is None
    assert first.problem == second.problem == STILL_ASKING
    assert len(asked) == 1
    slow.set()
    background.close()


def test_a_source_that_fails_is_named_and_the_last_answer_stays() -> None:
    clock = FrozenClock()
    background = Background(clock, wait=LONG, fresh=timedelta(seconds=1))

    def broken() -> str:
        raise DependencyUnavailable("metrics", "nobody answers")

    assert background.ask("a", lambda: "well").problem == ""
    clock.advance(timedelta(seconds=3))
    known = background.ask("a", broken)
    assert known.value == "well"
    assert "nobody answers" in known.problem
    assert background.ask("b", broken).value is None
    background.close()


def test_a_defect_is_told_to_who_waits_and_does_not_stay() -> None:
    clock = FrozenClock()
    background = Background(clock, wait=LONG, fresh=timedelta(seconds=1))
    with pytest.raises(ZeroDivisionError):
        background.ask("a", lambda: 1 / 0)
    clock.advance(timedelta(seconds=2))
    assert background.ask("a", lambda: 1.0).value == 1.0
    background.close()


def test_only_so_much_is_kept() -> None:
    background = Background(FrozenClock(), wait=LONG)
    for number in range(MOST_KEPT + 20):
        assert background.ask(number, partial(abs, number)).value == number
    assert len(background._kept) <= MOST_KEPT
    background.close()
