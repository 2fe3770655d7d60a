"""Calls of a cycle, from its record."""

from __future__ import annotations

from datetime import timedelta

from adapters.audit.memory import MemoryAudit
from domain.clock import FrozenClock
from domain.receipt import AuditEntry, RecordKind
from service.web.calls import calls_of, folded, of_place
from tests.web.made import entry


def _recorded(*entries: AuditEntry, apart: float = 2.0) -> MemoryAudit:
    clock = FrozenClock()
    audit = MemoryAudit(clock)
    for each in entries:
        audit.append(each)
        clock.advance(timedelta(seconds=apart))
    return audit


def test_an_intent_and_its_outcome_are_one_call_with_its_receipt_and_time() -> None:
    approval = {"id": "ap_1", "by": ["Ann"]}
    audit = _recorded(
        entry(RecordKind.INTENT, body={"args": {"rounds": 9}, "approval": approval}, decision="allow", policies=("w",)),
        entry(RecordKind.OUTCOME, status="done", body={"permit": "a1b2", "spent": {"tokens": 12}}),
    )
    (call,) = calls_of(audit.records())
    assert (call.state, call.answer, call.policies) == ("done", "allow", ("w",))
    assert (call.receipt, call.outcome, call.permit) == (1, 2, "a1b2")
    assert call.took == timedelta(seconds=2)
    assert (call.approval, call.approvers) == ("ap_1", ("Ann",))
    assert (call.args, call.spent) == ({"rounds": 9}, "12 tokens")
    assert call.place == f"train/train_model/{'a' * 10}"


def test_an_intent_without_an_outcome_is_under_way() -> None:
    (call,) = calls_of(_recorded(entry(RecordKind.INTENT)).records())
    assert (call.state, call.took, call.outcome) == ("open", None, None)
    assert call.said == "under way"


def test_what_failed_says_why() -> None:
    audit = _recorded(entry(RecordKind.INTENT), entry(RecordKind.OUTCOME, status="failed", body={"reason": "no room"}))
    (call,) = calls_of(audit.records())
    assert (call.state, call.tone, call.why) == ("failed", "bad", "no room")


def test_the_same_call_made_again_after_it_was_found_absent_is_a_call_of_its_own() -> None:
    audit = _recorded(
        entry(RecordKind.INTENT),
        entry(RecordKind.OUTCOME, status="absent", body={"detail": "not there"}),
        entry(RecordKind.INTENT),
        entry(RecordKind.OUTCOME, status="done"),
    )
    assert [(call.state, call.receipt) for call in calls_of(audit.records())] == [("absent", 1), ("done", 3)]


def test_a_refusal_says_what_the_door_answered_and_by_which_policies() -> None:
    audit = _recorded(
        entry(RecordKind.REFUSAL, decision="deny", status="denied", policies=("p",), body={"reason": "no"}),
        entry(RecordKind.REFUSAL, decision="escalate", status="escalate", body={"reason": "ask"}),
        entry(RecordKind.REFUSAL, decision="allow", status="budget", body={"reason": "too dear"}),
    )
    told = [(call.answer, call.state, call.why) for call in calls_of(audit.records())]
    # What the policies allow and the budget refuses was not let through either.
    assert told == [("deny", "refused", "no"), ("escalate", "refused", "ask"), ("deny", "refused", "too dear")]


def test_notes_and_transitions_are_no_calls_and_an_outcome_nobody_asked_for_is_none() -> None:
    audit = _recorded(entry(RecordKind.NOTE), entry(RecordKind.TRANSITION), entry(RecordKind.OUTCOME, status="done"))
    assert calls_of(audit.records()) == []


def test_who_asked_is_told_apart_model_engine_and_person() -> None:
    actors = ("ml_engineer/agent", "ml_engineer/stage", "Ann")
    audit = _recorded(*(entry(RecordKind.READ, actor=actor) for actor in actors))
    told = [(call.who, call.via) for call in calls_of(audit.records())]
    assert told == [
        ("ML Engineer", "the model asked"),
        ("ML Engineer", "the engine acted"),
        ("Ann", "a person asked"),
    ]


def test_the_same_read_again_and_again_is_one_row_that_says_how_often() -> None:
    kinds = (RecordKind.READ, RecordKind.READ, RecordKind.INTENT, RecordKind.READ)
    rows = calls_of(_recorded(*(entry(kind) for kind in kinds)).records())
    assert [(row.sequence, row.times) for row in folded(rows)] == [(1, 2), (3, 1), (4, 1)]


def test_what_was_refused_is_nothing_a_claim_could_cite() -> None:
    rows = calls_of(_recorded(entry(RecordKind.READ), entry(RecordKind.REFUSAL)).records())
    assert [row.sequence for row in of_place(rows).values()] == [1]
