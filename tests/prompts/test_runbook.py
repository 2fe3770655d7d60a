"""Runbooks are data that is checked when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from agents.operator.seats import LEAD, operator_roster
from agents.roster import default_roster
from agents.rules import FILTERS
from domain.actor import Role
from domain.errors import ConfigurationError
from policies.contract import load_contract
from policies.packaged import packaged_contract
from prompts.library import source
from prompts.runbook import Condition, Derived, Runbook, names, runbook

# The Supervisor's part in a talk with an operator is to ask the others: it has no runbook.
SEATS = (*default_roster().seats.values(), *operator_roster().seats.values())


def test_every_task_of_the_crew_has_a_runbook_and_no_other_has() -> None:
    tasks = {task for seat in SEATS for task in seat.tools}
    assert set(names()) == tasks - {LEAD}


@pytest.mark.parametrize("task", names())
def test_a_runbook_uses_tools_its_role_holds_and_filters_there_are(task: str) -> None:
    seat = next(seat for seat in SEATS if task in seat.tools)
    book = runbook(task)
    assert {step.tool for step in book.steps} <= set(seat.tools_for(task))
    assert set(_filters(source(f"runbooks/{task}.yaml"))) <= set(FILTERS)


def _filters(text: str) -> list[str]:
    return [part.split("}")[0] for part in text.split("|")[1:] if "}" in part.split("\n")[0][:12]]


def test_the_diagnosis_knows_the_signals_of_the_contract() -> None:
    known = set(load_contract(packaged_contract()).signals)
    groups = runbook("diagnosis_propose").groups
    assert {name for group in ("quality", "speed", "cost", "index") for name in groups[group]} <= known


def test_a_task_without_a_runbook_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        runbook("tea_making")


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"at": "a"},
        {"at": "a", "eq": 1, "ne": 2},
        {"eq": 1},
        {"all": [], "any": []},
        {"fact": "a", "eq": 1},
        {"at": "a", "like": 1},
    ],
)
def test_a_condition_is_exactly_one_thing(condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(condition)


@pytest.mark.parametrize("derived", [{}, {"plus": [1], "union": [1]}, {"limit": 3}])
def test_a_derived_value_uses_one_function(derived: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="one function"):
        Derived.model_validate(derived)


def _unknown_step(book: dict[str, Any]) -> None:
    book["fallback"]["claims"] = [
        {"statement": "s", "of": "nobody", "path": "p", "comparison": "eq", "value": 1},
    ]


def _double_name(book: dict[str, Any]) -> None:
    book["groups"]["snapshot"] = ["a"]


def _ninth_step(book: dict[str, Any]) -> None:
    book["steps"] = [{"id": f"s{chr(97 + i)}", "tool": "t"} for i in range(9)]


@pytest.mark.parametrize("spoil", [_unknown_step, _double_name, _ninth_step])
def test_a_runbook_that_contradicts_itself_is_refused(spoil: Callable[[dict[str, Any]], None]) -> None:
    book = yaml.safe_load(source("runbooks/diagnosis_propose.yaml"))
    assert Runbook.model_validate(book).steps
    spoil(book)
    with pytest.raises(ValidationError):
        Runbook.model_validate(book)


def test_the_supervisor_reviews_every_proposal() -> None:
    reviews = {task.removesuffix("_review") for task in default_roster().seat(Role.SUPERVISOR).tools}
    proposals = {task.removesuffix("_propose") for task in names() if task.endswith("_propose")}
    assert proposals <= reviews
