"""The door: five steps, and no way around any of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import Answer
from domain.errors import (
    DependencyUnavailable,
    InvalidInput,
    PolicySetBroken,
)
from domain.receipt import RecordKind
from tests.support.gates import ACTOR, Door
from tools.outcome import Done, Failed, Refused


@pytest.fixture
def door() -> Door:
    return Door()


def test_an_allowed_effect_leaves_intent_then_outcome_and_a_receipt(door: Door) -> None:
    outcome = door.switch()
    assert isinstance(outcome, Done)
    assert door.kinds() == ["intent", "outcome done"]
    intent, result = door.audit.records()
    assert (outcome.receipt.intent, outcome.receipt.outcome) == (intent.sequence, result.sequence)
    assert intent.entry.body["args"] == {"room": "hall", "watts": 1.0}
    assert intent.entry.policies == ("the-policy",)
    assert outcome.receipt.permit
    assert outcome.call.startswith("promote/promote/")


def test_the_permit_is_asked_for_only_after_the_intent_is_on_record(door: Door) -> None:
    seen: list[list[str]] = []
    door.lamps.before = lambda: seen.append(door.kinds())
    door.switch()
    assert seen == [["intent"]]


def test_a_read_is_recorded_with_its_result_and_needs_no_intent(door: Door) -> None:
    outcome = door.read()
    assert isinstance(outcome, Done)
    assert door.kinds() == ["read done"]
    kept = door.store.recordings(door.scope.cycle_id)
    assert [(r.place, r.payload["result"]) for r in kept] == [(outcome.call, {"brightness": 1.0})]


# -- validate --------------------------------------------------------------------------------------------


def test_an_unknown_tool_is_refused_with_the_names_there_are(door: Door) -> None:
    outcome = door.gate.call("self_destruct", {}, ACTOR, door.scope)
    assert isinstance(outcome, Refused)
    assert outcome.kind == "unknown_tool"
    assert "promote" in outcome.reason
    assert door.pdp.asked == []


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({}, "room"),
        ({"room": 3}, "room"),
        ({"room": "hall", "watts": "bright"}, "watts"),
        ({"room": "hall", "colour": "red"}, "colour"),
        (["hall"], "arguments"),
        ("hall", "arguments"),
        (None, "arguments"),
        ({"room": "hall", "watts": float("nan")}, "arguments"),
        ({"room": "hall", "watts": float("inf")}, "arguments"),
    ],
)
def test_malformed_arguments_are_refused_and_the_field_is_named(door: Door, args: object, field: str) -> None:
    outcome = door.gate.call("promote", args, ACTOR, door.scope)  # type: ignore[arg-type]
    assert isinstance(outcome, Refused)
    assert outcome.kind == "invalid"
    assert field in outcome.reason
    assert door.pdp.asked == []
    assert door.lamps.switched == 0


@given(args=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_whatever_stands_in_a_field_is_answered_and_never_raises(args: object) -> None:
    door = Door()
    outcome = door.gate.call("promote", {"room": "hall", "watts": args}, ACTOR, door.scope)
    assert isinstance(outcome, Refused | Done)
    assert door.lamps.switched == isinstance(outcome, Done)


# -- decide ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "kind"), [(Answer.DENY, "denied"), (Answer.ESCALATE, "escalate")])
def test_what_is_not_allowed_is_refused_recorded_and_not_done(door: Door, answer: Answer, kind: str) -> None:
    door.pdp.answer = answer
    for outcome in (door.switch(), door.read()):
        assert isinstance(outcome, Refused)
        assert (outcome.kind, outcome.reason.partition(";")[0]) == (kind, f"it is {answer.value}")
    assert door.kinds() == [f"refusal {kind}", f"refusal {kind}"]
    assert door.lamps.switched == 0


@pytest.mark.parametrize("problem", [PolicySetBroken("no policies"), DependencyUnavailable("pdp", "away")])
def test_no_decision_is_a_denial(door: Door, problem: Exception) -> None:
    door.pdp.raises = problem
    outcome = door.switch()
    assert isinstance(outcome, Refused)
    assert outcome.kind == "denied"
    assert "no decision could be had" in outcome.reason
    assert door.lamps.switched == 0


def test_a_defect_in_the_decision_point_goes_up_and_nothing_is_done(door: Door) -> None:
    door.pdp.raises = ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError):
        door.switch()
    assert door.lamps.switched == 0
    assert door.kinds() == []


def test_a_context_that_cannot_be_had_is_a_denial(door: Door) -> None:
    def unknown(*_: object) -> dict[str, bool | int | str]:
        raise InvalidInput("cycle_id", "is not a cycle", "Open one")

    door.context = unknown
    outcome = door.switch()
    assert isinstance(outcome, Refused)
    assert outcome.kind == "denied"
    assert door.lamps.switched == 0


def test_a_refusal_stands_even_when_it_cannot_be_recorded(door: Door) -> None:
    door.pdp.answer, door.audit.broken = Answer.DENY, True
    outcome = door.switch()
    assert isinstance(outcome, Refused)
    assert "could not be recorded" in outcome.reason


# -- record ----------------------------------------------------------------------------------------------


def test_an_intent_that_cannot_be_written_means_no_effect(door: Door) -> None:
    door.audit.refuses = {RecordKind.INTENT}
    outcome = door.switch()
    assert isinstance(outcome, Refused)
    assert outcome.kind == "audit"
    assert door.lamps.switched == 0


def test_an_outcome_that_cannot_be_written_is_closed_by_looking_at_the_next_call(door: Door) -> None:
    door.audit.refuses = {RecordKind.OUTCOME}
    first = door.switch()
    assert isinstance(first, Failed)
    assert first.error == "AuditUnavailable"
    assert door.lamps.switched == 1
    door.audit.refuses = set()
    second = door.switch()
    assert isinstance(second, Done)
    assert second.receipt.repeated
    assert door.lamps.switched == 1
    assert door.kinds() == ["intent", "outcome done"]


def test_a_read_that_cannot_be_recorded_is_not_answered(door: Door) -> None:
    door.audit.refuses = {RecordKind.READ}
    outcome = door.read()
    assert isinstance(outcome, Refused)
    assert outcome.kind == "audit"


def test_a_store_that_is_away_fails_the_read(door: Door) -> None:
    door.store.broken = DependencyUnavailable("store", "away")
    outcome = door.read()
    assert isinstance(outcome, Failed)
    assert outcome.error == "DependencyUnavailable"


def test_a_store_that_is_away_when_the_outcome_is_kept_repeats_nothing(door: Door) -> None:
    door.store.broken = DependencyUnavailable("store", "away")
    assert isinstance(door.switch(), Failed)
    door.store.broken = None
    again = door.switch()
    assert isinstance(again, Done)
    assert door.lamps.switched == 1
    assert [r.place for r in door.store.recordings(door.scope.cycle_id)] == [again.call]


# -- told ------------------------------------------------------------------------------------------------


def test_every_answer_is_told_with_who_asked_and_why(door: Door) -> None:
    door.switch()
    door.gate.call("nothing", {}, ACTOR, door.scope)
    door.lamps.before = _away
    door.switch("attic")
    answers = [(e.what, e.answer, e.who) for e in door.events]
    who = "devops_engineer"
    assert answers == [
        ("promote", "done", who),
        ("nothing", "refused (unknown_tool)", who),
        ("promote", "failed (DependencyUnavailable)", who),
    ]
    assert door.events[0].details["policies"] == ["the-policy"]


def test_every_decided_call_is_traced_with_its_answer(door: Door) -> None:
    door.switch()
    span, decision = door.traces.spans
    assert (span.name, span.kind, span.outputs["answer"]) == ("promote", "tool", "Done")
    assert (decision.name, decision.kind, decision.parent) == ("door", "decision", "promote")
    assert (decision.outputs["answer"], decision.outputs["policies"]) == ("allow", ["the-policy"])


def test_the_span_of_a_call_names_its_records_and_they_name_its_trace(door: Door) -> None:
    outcome = door.switch()
    assert isinstance(outcome, Done)
    records = door.audit.records()
    span, _ = door.traces.spans
    told = [(link["sequence"], link["hash"], link["kind"]) for link in span.facts["audit"]]
    assert told == [(r.sequence, r.hash, r.entry.kind.value) for r in records]
    assert {r.entry.trace_id for r in records} == {outcome.receipt.trace_id} == {door.traces.taken[0].place.trace}


def _defect() -> None:
    raise ZeroDivisionError("a defect")


def _away() -> None:
    raise DependencyUnavailable("lamps", "away")
