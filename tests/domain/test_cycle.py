"""The table of legal transitions, and the cycle that walks it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cycle import TRANSITIONS, Cycle, check_transition
from domain.errors import IllegalTransition
from domain.stage import Stage
from tests.contract.alerts import NOON, alert

PAIRS = list(product(Stage, Stage))
ENDS = (Stage.DONE, Stage.STOPPED, Stage.CANCELLED)


def cycle(stage: Stage = Stage.OBSERVE) -> Cycle:
    return Cycle(
        id="si_2026_01_31_001",
        alert=alert(),
        target="search",
        environment="dev",
        stage=stage,
        opened_at=NOON,
        updated_at=NOON,
    )


@pytest.mark.parametrize(("current", "following"), [p for p in PAIRS if p[1] not in TRANSITIONS[p[0]]])
def test_a_step_that_is_not_in_the_table_is_refused_with_those_that_are(current: Stage, following: Stage) -> None:
    with pytest.raises(IllegalTransition) as problem:
        check_transition(current, following)
    assert f"{current.value} -> {following.value}" in str(problem.value)
    assert all(stage.value in str(problem.value) for stage in TRANSITIONS[current])
    with pytest.raises(IllegalTransition):
        cycle(current).at(following, NOON)


@pytest.mark.parametrize(("current", "following"), [p for p in PAIRS if p[1] in TRANSITIONS[p[0]]])
def test_a_step_of_the_table_is_taken(current: Stage, following: Stage) -> None:
    later = NOON + timedelta(minutes=1)
    moved = cycle(current).at(following, later, "because")
    assert (moved.stage, moved.updated_at, moved.reason) == (following, later, "because")


def test_every_stage_has_its_row_and_ends_have_no_way_out() -> None:
    assert set(TRANSITIONS) == set(Stage)
    assert {stage for stage in Stage if stage.terminal} == set(ENDS)
    assert all(TRANSITIONS[end] == frozenset() for end in ENDS)


def test_every_stage_can_be_reached_and_every_stage_can_end() -> None:
    reached, frontier = {Stage.OBSERVE}, [Stage.OBSERVE]
    while frontier:
        for following in TRANSITIONS[frontier.pop()] - reached:
            reached.add(following)
            frontier.append(following)
    assert reached == set(Stage)
    for stage in set(Stage) - set(ENDS):
        assert TRANSITIONS[stage] & {Stage.LEARN, Stage.DONE}


def test_nothing_is_promoted_that_was_not_planned_or_tested() -> None:
    into = {stage for stage, following in TRANSITIONS.items() if Stage.PROMOTE in following}
    assert into == {Stage.PLAN, Stage.AB, Stage.PROMOTE}
    assert {stage for stage, following in TRANSITIONS.items() if Stage.AB in following} == {Stage.EVALUATE, Stage.AB}


@given(st.lists(st.sampled_from(list(Stage)), max_size=12))
def test_no_walk_leaves_an_end(steps: list[Stage]) -> None:
    here, ended = cycle(), False
    for step in steps:
        try:
            here = here.at(step, datetime(2026, 2, 1, tzinfo=UTC))
        except IllegalTransition:
            continue
        assert not ended
        ended = here.stage.terminal


def test_a_fact_is_added_or_replaced_in_a_copy() -> None:
    first = cycle().with_fact("a", 1)
    second = first.with_fact("a", 2).with_fact("b", 3)
    assert (dict(first.facts), dict(second.facts)) == ({"a": 1}, {"a": 2, "b": 3})
