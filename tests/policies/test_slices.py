"""A decision by a slice of the set, about a kind of question that was asked before, is that of the whole set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cedarpy
import pytest

from domain.actor import Actor, Role
from domain.decision import Answer, AuthorizationRequest, Effect
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint
from policies.slices import Slices, groups_of, is_flat, kind_of
from tests.policies.test_pdp import GOOD, TABLE

FILES = packaged_policy_files()
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"kill_switch": True},
    {"approved": True},
    {"approved": False, "autonomy": "approve"},
    {"approved": False, "approval_needed": True},
    {"tombstoned": True},
    {"window_open": False},
    {"cooling_down": True},
    {"budget_left_cents": -1},
    {"cycles_today": 999},
    {"calls": 100_000},
    {"autonomy": "suggest"},
    {"share_bp": 9_999},
    {"gates_passed": False, "verdict_ab": "fail"},
    {"signal": "ndcg_at_10"},
    {"calls": "many"},
    {"kill_switch": 0},
    {"stranger": 1},
    {"hour": 2**63},
)


def fresh() -> PolicyDecisionPoint:
    """Return a point that was asked nothing yet."""
    return PolicyDecisionPoint.from_files(FILES)


class Whole(Slices):
    """No slices, and no question is known: the library decides by everything, every time."""

    def of(self, action: str) -> cedarpy.PolicySet:
        """See `Slices.of`."""
        return self._whole

    def fits(self, question: object) -> bool:
        """See `Slices.fits`."""
        return False


def questions(tool: str) -> Iterator[AuthorizationRequest]:
    """Return questions about a tool: by everybody, with every change of the facts."""
    for actor in (
        *(Actor(role=role, via="agent") for role in Role),
        Actor(role=Role.DEVOPS_ENGINEER),
        Actor(role=Role.SUPERVISOR, person="ann"),
    ):
        for change in CHANGES:
            yield AuthorizationRequest(
                actor=actor,
                tool=tool,
                effect=TABLE[tool][0] if tool in TABLE else Effect.READ,
                target="search",
                environment="dev",
                context={**GOOD, **change},
            )


def test_slices_decide_as_the_whole_set_does() -> None:
    sliced, whole, answers = fresh(), PolicyDecisionPoint.from_files(FILES, slicing=Whole), set()
    for tool in (*whole.actions, "no_such_tool", "read"):
        for question in questions(tool):
            expected = whole.decide(question)
            assert sliced.decide(question) == expected
            answers.add(expected.answer)
    assert answers == set(Answer)


def test_a_context_that_does_not_fit_is_refused_though_the_tool_was_asked_for_before() -> None:
    point = fresh()
    good = next(question for question in questions("notify") if question.actor.via == "stage")
    assert point.decide(good).allowed
    for change in ({"calls": "many"}, {"kill_switch": 0}, {"stranger": 1}, {"hour": True}):
        decision = point.decide(good.model_copy(update={"context": {**good.context, **change}}))
        assert decision.answer is Answer.DENY
    without = {name: value for name, value in good.context.items() if name != "calls"}
    assert point.decide(good.model_copy(update={"context": without})).answer is Answer.DENY
    assert point.decide(good).allowed


def test_groups_are_found_through_other_groups() -> None:
    schema = str(cedarpy.Schema.from_str(FILES["evercrew.cedarschema"].decode()))
    groups = groups_of(schema)
    assert groups["metric_query"] == {"metric_query", "observe", "read"}
    assert groups["read"] == {"read"}
    assert is_flat(schema)


@pytest.mark.parametrize(
    "field",
    ["inside: { deep: Long }", "several: Set<Long>", "price: decimal", "who: Role", "other: Named"],
)
def test_a_schema_where_values_matter_leaves_every_question_to_the_library(field: str) -> None:
    text = FILES["evercrew.cedarschema"].decode().replace("needed?: Bool,", f"needed?: Bool, {field},")
    schema = cedarpy.Schema.from_str(f"type Named = decimal;\n{text}")
    assert not is_flat(str(schema))


def test_an_entity_of_fixed_names_leaves_every_question_to_the_library() -> None:
    text = FILES["evercrew.cedarschema"].decode().replace("entity Role;", 'entity Role enum ["supervisor"];')
    assert not is_flat(str(cedarpy.Schema.from_str(text)))


def test_a_value_of_another_kind_makes_a_question_of_no_kind() -> None:
    assert kind_of({"a": True, "b": 1, "c": "x"}) == (("a", "b", "c"), (bool, int, str))
    assert kind_of({"a": 1.5}) is None  # type: ignore[dict-item]  # what a caller must not hand over
