"""What a record earns: the exact bound, the window, the demotion, and how often an unworthy class gets through."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from scipy import stats

from domain.autonomy import Level, Trial
from domain.outcome import OutcomeKind
from learning.autonomy import Bar, earned, lower_bound
from tests.contract.autonomy_contract import DAY, NOON, trial

BAR = Bar(bar=0.8, confidence=0.95, window=timedelta(days=180), cool_down=timedelta(days=14))


def record(outcomes: str) -> list[Trial]:
    """Return trials a day apart: `s`uccess, `f`ailure to show, `h`arm."""
    kinds = {"s": OutcomeKind.IMPROVED, "f": OutcomeKind.UNVERIFIED, "h": OutcomeKind.ROLLED_BACK}
    return [trial(n, outcome=kinds[o], harmful=o == "h") for n, o in enumerate(outcomes, start=1)]


def standing(outcomes: str, later: timedelta = timedelta()) -> Level:
    now = NOON + len(outcomes) * DAY + later
    return earned("promote", "production", record(outcomes), now, BAR).level


@pytest.mark.parametrize(("successes", "trials"), [(1, 1), (5, 5), (14, 14), (19, 20), (45, 50), (90, 120), (1, 30)])
def test_the_bound_is_the_exact_one(successes: int, trials: int) -> None:
    exact = stats.binomtest(successes, trials).proportion_ci(0.90, method="exact").low
    assert lower_bound(successes, trials, 0.95) == pytest.approx(exact, abs=1e-9)


def test_without_a_success_nothing_is_earned_and_more_successes_than_trials_are_an_error() -> None:
    assert lower_bound(0, 0, 0.95) == lower_bound(0, 50, 0.95) == 0.0
    with pytest.raises(ValueError, match="successes"):
        lower_bound(3, 2, 0.95)


@pytest.mark.parametrize("rate", [0.6, 0.75, 0.8, 0.9, 0.99])
def test_the_bound_is_above_the_true_rate_no_more_often_than_it_says(rate: float) -> None:
    n = 40
    chances = ((stats.binom.pmf(k, n, rate), lower_bound(k, n, 0.95)) for k in range(n + 1))
    assert sum(chance for chance, bound in chances if bound > rate) <= 0.05 + 1e-9


def test_fourteen_successes_earn_it_and_thirteen_do_not() -> None:
    assert standing("s" * 13) is Level.APPROVE
    assert standing("s" * 14) is Level.ACT


def test_what_never_showed_is_no_success() -> None:
    assert standing("s" * 14 + "f" * 2) is Level.APPROVE
    assert standing("f" * 100) is Level.APPROVE


def test_a_bad_outcome_demotes_at_once_whatever_the_record_and_for_the_whole_cool_down() -> None:
    assert standing("s" * 60) is Level.ACT
    assert standing("s" * 60 + "h") is Level.APPROVE
    told = earned("promote", "production", record("s" * 60 + "h"), NOON + 61 * DAY, BAR)
    assert told.until == NOON + 75 * DAY
    assert "a bad outcome" in told.reason
    assert standing("s" * 60 + "h", timedelta(days=14) - timedelta(seconds=1)) is Level.APPROVE
    assert standing("s" * 60 + "h", timedelta(days=14)) is Level.ACT


def test_after_the_cool_down_the_bad_outcome_still_counts() -> None:
    assert standing("s" * 14 + "h", timedelta(days=20)) is Level.APPROVE


def test_what_is_older_than_the_window_counts_no_more() -> None:
    assert standing("s" * 14, timedelta(days=166)) is Level.ACT
    assert standing("s" * 14, timedelta(days=167)) is Level.APPROVE


def test_trials_of_the_future_of_others_or_elsewhere_do_not_count() -> None:
    others = [
        *(trial(n, environment="staging") for n in range(1, 40)),
        *(trial(n, kind="tune") for n in range(1, 40)),
        *(trial(n, at=NOON + 100 * DAY) for n in range(1, 40)),
    ]
    told = earned("promote", "production", others, NOON + 60 * DAY, BAR)
    assert (told.trials, told.level) == (0, Level.APPROVE)


def test_a_class_that_fails_three_times_in_ten_seldom_gets_to_act_in_a_hundred_cycles() -> None:
    chance = random.Random(7)
    got = 0
    for _ in range(200):
        outcomes = "".join("s" if chance.random() < 0.7 else "f" for _ in range(100))
        got += any(standing(outcomes[:n]) is Level.ACT for n in range(14, 101, 2))
    assert got / 200 <= 0.05


def test_a_class_that_is_nearly_always_right_gets_to_act() -> None:
    chance = random.Random(3)
    got = 0
    for _ in range(100):
        outcomes = "".join("s" if chance.random() < 0.97 else "f" for _ in range(40))
        got += any(standing(outcomes[:n]) is Level.ACT for n in range(14, 41))
    assert got >= 90


@pytest.mark.parametrize(
    "wrong",
    [{"bar": 1.0}, {"confidence": 0.4}, {"window": timedelta()}, {"cool_down": -timedelta(days=1)}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_bar_out_of_range_is_an_error(wrong: dict[str, float]) -> None:
    plain = {"bar": 0.8, "confidence": 0.95, "window": timedelta(days=1), "cool_down": timedelta(days=1)}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Bar(**{**plain, **wrong})  # type: ignore[arg-type]
