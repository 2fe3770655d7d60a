"""The roster: five roles, who may hold what, and that nobody holds what changes the world."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.roster import Roster, Seat, Tier, default_roster
from domain.actor import Role
from domain.decision import Effect
from domain.errors import ConfigurationError
from prompts.library import fingerprint
from tests.crews.bench import Bench
from tests.crews.findings import situation

ROSTER = default_roster()


def _with(role: Role, task: str, *tools: str) -> Roster:
    seat = replace(ROSTER.seat(role), tools={**ROSTER.seat(role).tools, task: tools})
    return Roster({**ROSTER.seats, role: seat})


def test_every_role_has_a_seat() -> None:
    assert set(ROSTER.seats) == set(Role)
    assert all(seat.role is role for role, seat in ROSTER.seats.items())


def test_the_limits_are_the_contracts() -> None:
    assert {seat.max_calls for seat in ROSTER.seats.values()} == {8}
    assert all(seat.max_iterations > 0 and seat.time_limit.total_seconds() > 0 for seat in ROSTER.seats.values())


def test_nobody_holds_a_tool_that_writes() -> None:
    registry = Bench(situation()).gate.registry
    held = {name for seat in ROSTER.seats.values() for names in seat.tools.values() for name in names}
    assert {registry.get(name).spec.effect for name in held} == {Effect.READ}


def test_the_analyst_looks_at_everything_and_touches_nothing() -> None:
    tools = set(ROSTER.seat(Role.METRICS_ANALYST).tools_for("diagnosis_propose"))
    assert {"signal_snapshot", "anomaly_check", "drift_report", "attribution", "log_search"} <= tools


def test_a_tool_that_does_not_exist_is_an_error_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="'levitate' is not a tool"):
        Bench(situation(), roster=_with(Role.METRICS_ANALYST, "diagnosis_propose", "levitate"))


def test_a_tool_that_changes_the_world_is_an_error_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="'promote' changes the world"):
        Bench(situation(), roster=_with(Role.METRICS_ANALYST, "diagnosis_propose", "promote"))


def test_a_task_nobody_gave_the_role_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="does not work on 'promotion_propose'"):
        ROSTER.seat(Role.METRICS_ANALYST).tools_for("promotion_propose")


def test_an_empty_seat_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="nobody is the ML Engineer"):
        Roster({}).seat(Role.ML_ENGINEER)


def test_prompts_are_known_by_file_and_fingerprint() -> None:
    seat = Seat(role=Role.ML_ENGINEER, tier=Tier.STANDARD, tools={"training_propose": ()})
    names = ["roles/ml_engineer.md", "training_propose/system.md", "training_propose/task.md"]
    assert seat.prompts() == {name: fingerprint(name) for name in names}
    assert set(seat.prompts()) <= set(ROSTER.prompts())
