"""Circles are found, and what only looks like one is let be."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.loops import Attempt, Change, Provenance, ineffective, oscillation, own_change, own_output

TOPICS = frozenset({"space", "cooking"})


def chain(*values: str, name: str = "mode", undone: tuple[int, ...] = ()) -> list[Change]:
    """Return the changes that lead from value to value, each by a cycle of its own."""
    pairs = itertools.pairwise(values)
    return [Change(f"c{n}", float(n), name, a, b, undo=n in undone) for n, (a, b) in enumerate(pairs)]


def found(*values: str, most: int = 1, undo: bool = False) -> bool:
    """Whether the last step of these values is a circle."""
    *past, asked = chain(*values)
    return oscillation(past, replace(asked, undo=undo), most=most) is not None


def test_a_value_that_comes_back_is_an_oscillation() -> None:
    *past, asked = chain("fast", "balanced", "fast")
    loop = oscillation(past, asked)
    assert loop is not None
    assert (loop.kind, loop.evidence["values"]) == ("oscillation", ["fast", "balanced", "fast"])
    assert "fast -> balanced" in loop.reason


def test_a_longer_way_back_is_one_too() -> None:
    assert found("a", "b", "c", "a")


@pytest.mark.parametrize("values", [("a", "b"), ("a", "b", "c"), ("a", "b", "b"), ("a", "a")])
def test_going_on_is_no_oscillation(values: tuple[str, ...]) -> None:
    assert not found(*values)


def test_taking_a_release_back_once_is_no_oscillation_and_twice_is() -> None:
    assert not found("a", "b", "a", undo=True)
    *past, asked = chain("a", "b", "a", "b", "a")
    assert oscillation(past[-1:], replace(asked, undo=True)) is None
    assert oscillation(past, replace(asked, undo=True)) is not None


def test_what_a_cycle_took_back_itself_does_not_count_and_asking_for_it_again_does() -> None:
    mine = [Change("c1", 0, "mode", "a", "b"), Change("c1", 1, "mode", "b", "a", undo=True)]
    assert oscillation(mine[:1], mine[1]) is None
    assert oscillation(mine, Change("c2", 2, "mode", "a", "c")) is None
    assert oscillation(mine, Change("c2", 2, "mode", "a", "b")) is not None


def test_what_somebody_else_set_in_between_ends_the_chain() -> None:
    past = chain("fast", "balanced")
    assert oscillation(past, Change("c9", 9, "mode", "exhaustive", "fast")) is None


def test_other_settings_are_other_chains() -> None:
    past = [*chain("1", "2", name="replicas"), *chain("fast", "balanced")]
    assert oscillation(past, Change("c9", 9, "replicas", "2", "3")) is None
    assert oscillation(past, Change("c9", 9, "replicas", "2", "1")) is not None


def test_how_many_returns_are_too_many_can_be_set() -> None:
    assert not found("a", "b", "a", most=2)
    assert found("a", "b", "a", "b", most=2)
    with pytest.raises(ValueError, match="most"):
        found("a", "b", most=0)


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=12))
def test_only_a_value_that_was_left_before_can_come_back(values: list[str]) -> None:
    *past, asked = chain(*values)
    left = {change.before for change in past}
    if oscillation(past, asked) is not None:
        assert asked.after in left
    if asked.after not in left:
        assert oscillation(past, asked) is None


RETRAIN = Attempt("now", "ndcg_at_10", "retrain", "corpus_shift", TOPICS, showed=False)


def tries(*showed: bool) -> list[Attempt]:
    """Return earlier attempts of the same kind."""
    return [replace(RETRAIN, cycle=f"c{n}", showed=it) for n, it in enumerate(showed)]


def test_an_action_that_did_not_show_so_often_is_found() -> None:
    loop = ineffective(tries(False, False, False), RETRAIN, most=3)
    assert loop is not None
    assert loop.evidence["cycles"] == ["c0", "c1", "c2"]
    assert "did not show 3 times in a row" in loop.reason


def test_too_few_failures_are_bad_luck() -> None:
    assert ineffective(tries(False, False), RETRAIN, most=3) is None
    assert ineffective([], RETRAIN, most=1) is None


def test_a_success_in_between_begins_anew() -> None:
    assert ineffective(tries(False, False, True, False), RETRAIN, most=2) is None
    assert ineffective(tries(True, False, False), RETRAIN, most=2) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"signal": "recall_at_20"},
        {"action": "tune"},
        {"cause": "data_quality"},
        {"subjects": frozenset({"gardening"})},
        {"subjects": frozenset({"gardening", "sailing", "space"})},
    ],
)
def test_a_second_retrain_after_another_shift_is_allowed(other: dict[str, object]) -> None:
    asked = Attempt(**{**{f: getattr(RETRAIN, f) for f in RETRAIN.__slots__}, **other})
    assert ineffective(tries(False, False, False), asked, most=2) is None


def test_nearly_the_same_subjects_are_the_same_cause() -> None:
    asked = replace(RETRAIN, subjects=frozenset({"space", "cooking", "law"}))
    assert ineffective(tries(False, False), asked, most=2) is not None
    bare = replace(RETRAIN, subjects=frozenset())
    assert ineffective([replace(bare, cycle="c1")], bare, most=1) is not None


RELEASE = Change("c7", 1000.0, "model", "sha256:a", "sha256:b")


def series(
    onset: float, *, down: float = 0.1, noise: float = 0.01, points: int = 40
) -> tuple[list[float], list[float]]:
    """Return a signal every ten seconds around the release, which falls at `onset`."""
    rng = random.Random(3)
    times = [RELEASE.at + 10.0 * (n - points // 2) for n in range(points)]
    return times, [0.6 - (down if t >= onset else 0) + rng.gauss(0, noise) for t in times]


def caused(onset: float, alert: float = 1060.0, down: float = 0.1) -> bool:
    """Whether an alert is taken for the consequence of the release."""
    times, values = series(onset, down=down)
    loop = own_change(
        RELEASE, alert, within=120, times=times, values=values, bad_direction="down", tolerance=30, min_points=12
    )
    return loop is not None


def test_an_alert_whose_signal_moved_with_our_release_is_its_consequence() -> None:
    times, values = series(1000.0)
    loop = own_change(RELEASE, 1060, within=120, times=times, values=values, bad_direction="down", tolerance=30)
    assert loop is not None
    assert loop.evidence["cycle"] == "c7"
    assert loop.evidence["after"] < loop.evidence["before"]


def test_an_alert_after_our_release_for_another_reason_is_not() -> None:
    assert not caused(1120.0)
    assert not caused(900.0)
    assert not caused(1000.0, down=0.0)
    assert not caused(1000.0, down=-0.1)


def test_an_alert_before_the_release_or_long_after_it_is_not() -> None:
    assert not caused(1000.0, alert=999.0)
    assert not caused(1000.0, alert=1121.0)


def test_a_signal_that_cannot_be_told_says_nothing() -> None:
    assert own_change(RELEASE, 1060, within=120, times=[], values=[], bad_direction="down", tolerance=30) is None
    times, values = series(1000.0)
    holes = [float("nan") if n % 2 else v for n, v in enumerate(values)]
    assert own_change(RELEASE, 1060, within=120, times=times, values=holes, bad_direction="down", tolerance=30) is None


def test_false_alarms_of_a_release_that_changed_nothing_are_rare() -> None:
    rng = random.Random(11)
    times = [RELEASE.at + 10.0 * (n - 20) for n in range(40)]
    hits = sum(
        own_change(
            RELEASE,
            1060,
            within=120,
            times=times,
            values=[0.6 + rng.gauss(0, 0.02) for _ in times],
            bad_direction="down",
            tolerance=30,
        )
        is not None
        for _ in range(200)
    )
    assert hits <= 4


def own(generated: float, judged: float, confirmed: float = 0.0, model: str = "ours") -> str:
    """Return why a set is refused, or nothing."""
    made = Provenance(generated, judged, {model: confirmed})
    loop = own_output(made, {"ours"}, max_generated=0.5, max_own=0.9)
    return "" if loop is None else loop.reason


def test_a_set_that_is_mostly_generated_is_refused() -> None:
    assert "generated" in own(60, 40)
    assert own(50, 50) == ""


def test_a_set_that_only_echoes_our_own_ranking_is_refused() -> None:
    assert "comes from ourselves" in own(40, 60, confirmed=0.95)
    assert own(40, 60, confirmed=0.7) == ""


def test_what_users_judged_under_a_model_of_others_is_theirs() -> None:
    assert own(40, 60, confirmed=1.0, model="theirs") == ""


def test_an_empty_set_has_no_share_of_anything() -> None:
    assert Provenance(0, 0).shares({"ours"}) == (0.0, 0.0)
