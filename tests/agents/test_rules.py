"""How a runbook is read: paths, conditions, values, claims."""

from __future__ import annotations

from typing import Any

import pytest

from agents.rules import MISSING, Facts
from prompts.runbook import ClaimTemplate, Condition, Runbook

KNOWN: dict[str, Any] = {
    "snapshot": {"breached": ["ndcg"], "readings": {"ndcg": {"current": 0.5, "ok": False, "none": None}}, "names": []},
    "history": {"releases": [{"r": "c", "d": 3}, {"r": "b", "d": 2}, {"r": "a", "d": 1}]},
}
BOOK = Runbook.model_validate(
    {
        "version": 1,
        "task": "t",
        "about": "a",
        "groups": {"quality": ["ndcg", "recall"]},
        "steps": [{"id": "snapshot", "tool": "s"}, {"id": "history", "tool": "h"}],
        "facts": {"fallen": {"at": "snapshot.breached", "has_any": "${quality}"}},
        "derived": {
            "first": {"first_of": ["${snapshot.readings.ndcg.none}", "${nowhere}", "${snapshot.breached.0}", "x"]},
            "sum": {"plus": ["${snapshot.readings.ndcg.current}", -0.1]},
            "no_sum": {"plus": ["${nowhere}", 1]},
            "both": {"union": ["${quality}", "${nowhere}", ["ndcg", "more"]], "limit": 3},
            "shared": {"common": ["${quality}", "${snapshot.breached}"]},
            "nothing_shared": {"common": ["${quality}", "${nowhere}"]},
            "older": {"after": "history.releases", "key": "r", "equals": "b", "take": "d"},
            "oldest": {"after": "history.releases", "key": "r", "equals": "a", "take": "d"},
            "plan": {"record": {"tokens": "${both}", "left_out": "${nowhere}"}},
        },
        "fallback": {"answer": {}},
    }
)
FACTS = Facts(BOOK, KNOWN)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("snapshot.readings.ndcg.current", 0.5),
        ("snapshot.breached.0", "ndcg"),
        ("snapshot.breached.1", MISSING),
        ("snapshot.readings.ndcg.none", None),
        ("snapshot.readings.recall", MISSING),
        ("nowhere.at.all", MISSING),
        ("quality", ["ndcg", "recall"]),
        ("first", "ndcg"),
        ("sum", 0.4),
        ("no_sum", MISSING),
        ("both", ["ndcg", "recall", "more"]),
        ("shared.0", "ndcg"),
        ("nothing_shared", []),
        ("older", 1),
        ("oldest", MISSING),
        ("plan.tokens.2", "more"),
        ("plan.left_out", MISSING),
    ],
)
def test_a_path_leads_to_what_is_there_or_nowhere(path: str, found: Any) -> None:
    assert FACTS.at(path) == found


@pytest.mark.parametrize(
    "condition",
    [
        {"fact": "fallen"},
        {"at": "snapshot.breached", "has": "ndcg"},
        {"at": "snapshot.readings.ndcg.current", "lt": 0.6},
        {"at": "snapshot.readings.ndcg.current", "le": 0.5},
        {"at": "snapshot.readings.ndcg.current", "ge": 0.5},
        {"at": "snapshot.readings.ndcg.current", "gt": "${sum}"},
        {"at": "snapshot.readings.ndcg.current", "ne": 1},
        {"at": "snapshot.readings.ndcg.ok", "eq": False},
        {"at": "snapshot.breached.0", "one_of": "${quality}"},
        {"at": "snapshot.readings.ndcg.none", "known": False},
        {"at": "nowhere", "known": False},
        {"at": "snapshot.breached", "filled": True},
        {"at": "snapshot.names", "filled": False},
        {"at": "nowhere", "filled": False},
        {"all": [{"fact": "fallen"}, {"none": [{"at": "nowhere", "eq": 1}]}]},
        {"any": [{"at": "nowhere", "eq": 1}, {"fact": "fallen"}]},
    ],
)
def test_a_condition_that_holds(condition: dict[str, Any]) -> None:
    assert FACTS.holds(Condition.model_validate(condition))


@pytest.mark.parametrize(
    "condition",
    [
        {"at": "nowhere", "eq": None},
        {"at": "nowhere", "ne": 1},
        {"at": "nowhere", "lt": 1},
        {"at": "snapshot.readings.ndcg.none", "lt": 1},
        {"at": "snapshot.readings.ndcg.ok", "lt": 1},
        {"at": "snapshot.readings.ndcg.current", "lt": "${nowhere}"},
        {"at": "snapshot.readings.ndcg.current", "has": 0.5},
        {"at": "nowhere", "has_any": "${quality}"},
        {"at": "snapshot.names", "filled": True},
    ],
)
def test_what_is_missing_compares_with_nothing(condition: dict[str, Any]) -> None:
    assert not FACTS.holds(Condition.model_validate(condition))


def test_no_condition_always_holds() -> None:
    assert FACTS.holds(None)


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("${snapshot.readings.ndcg.current}", 0.5),
        ("at ${snapshot.readings.ndcg.current|share}", "at 50.0%"),
        ("${snapshot.readings.ndcg.current|percent}", "+50.0%"),
        ("${nowhere} and ${snapshot.readings.ndcg.none|share}", "unknown and unknown"),
        ({"a": "${nowhere}", "b": ["${nowhere}", "${snapshot.breached.0}"]}, {"b": ["ndcg"]}),
        (3, 3),
        (None, None),
        ("${nowhere}", MISSING),
    ],
)
def test_a_value_is_filled(value: Any, filled: Any) -> None:
    assert FACTS.fill(value) == filled


def test_claims_cite_the_call_and_are_left_out_when_there_is_nothing_to_cite() -> None:
    templates = [
        ClaimTemplate.model_validate({"statement": "s", "of": "snapshot", "comparison": "eq", **rest})
        for rest in (
            {"path": "readings.ndcg.current", "value": "${snapshot.readings.ndcg.current}"},
            {"path": "readings.ndcg.none", "value": 1},
            {"path": "readings.recall", "value": 1},
            {"path": "readings.ndcg.ok", "value": "${nowhere}"},
            {"path": "readings.ndcg.ok", "value": False, "when": {"at": "nowhere", "known": True}},
        )
    ]
    claims = FACTS.claims(templates, {"snapshot": "diagnose/s/1"})
    assert claims == [
        {"statement": "s", "call": "diagnose/s/1", "path": "readings.ndcg.current", "comparison": "eq", "value": 0.5}
    ]
    assert FACTS.claims(templates, {}) == []
