"""The set of intents is closed, and a slot holds nothing but what it may."""

from __future__ import annotations

from typing import Any

import pytest

from domain.access import ApiAction
from domain.errors import InvalidInput
from domain.intent import WRITES, Kind, OpenCycle, Stop, intent_of, is_write, needed
from service.chat.wording import said


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"kind": "drop_tables"}, "intent"),
        ({"kind": "stop", "environment": "moon"}, "stop.environment"),
        ({"kind": "stop", "environment": "dev", "tool": "promote; rm -rf"}, "stop.tool"),
        ({"kind": "stop", "environment": "dev", "agent": "supervisor", "tool": "promote"}, "stop"),
        ({"kind": "cancel", "cycle": "../../etc/passwd"}, "cancel.cycle"),
        ({"kind": "approve", "approval": "ap_' OR 1=1"}, "approve.approval"),
        ({"kind": "rollback", "environment": "dev", "to": {"how": "version", "value": "HEAD~1"}}, "value"),
        (
            {"kind": "override_gate", "gate": "g", "threshold": float("nan"), "environment": "dev", "hours": 1},
            "threshold",
        ),
        ({"kind": "override_gate", "gate": "g", "threshold": 1, "environment": "dev", "hours": 10_000}, "hours"),
        ({"kind": "open_cycle", "action": "promote"}, "action"),
        ({"kind": "open_cycle", "action": "retrain", "and_then": "promote"}, "and_then"),
        ("stop everything", "intent"),
        (None, "intent"),
    ],
)
def test_what_is_no_intent_is_refused_by_the_name_of_the_slot(value: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        intent_of(value)
    assert field in refused.value.field


def test_every_write_needs_an_action_of_its_own_and_a_question_only_a_look() -> None:
    assert set(WRITES) == {Kind(k) for k in ("open_cycle", "stop", "start", "rollback", "cancel", "resume")} | {
        Kind(k) for k in ("approve", "deny", "set_flag", "override_gate")
    }
    assert needed(Stop(environment="dev")) is ApiAction.STOP
    assert needed(intent_of({"kind": "status"})) is ApiAction.VIEW
    assert not is_write(intent_of({"kind": "waiting"}))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_intent_has_words(kind: Kind) -> None:
    known: dict[Kind, dict[str, Any]] = {
        Kind.CYCLE: {"cycle": "si_2026_01_01_001"},
        Kind.CANCEL: {"cycle": "si_2026_01_01_001"},
        Kind.RESUME: {"cycle": "si_2026_01_01_001"},
        Kind.APPROVE: {"approval": "ap_0123"},
        Kind.DENY: {"approval": "ap_0123"},
        Kind.STOP: {"environment": "all"},
        Kind.START: {"environment": "dev"},
        Kind.ROLL_BACK: {"environment": "dev", "to": {"how": "gold", "value": "gold"}},
        Kind.FLAG: {"flag": "auto_promote", "enabled": False, "environment": "dev"},
        Kind.OVERRIDE: {"gate": "ndcg_at_10", "threshold": 0.01, "environment": "dev", "hours": 2},
        Kind.OPEN: {"action": "diagnose", "signal": "latency_p95_ms"},
    }
    assert said(intent_of({"kind": kind.value, **known.get(kind, {})}))


def test_a_bound_is_said_where_it_is_shown() -> None:
    shown = said(OpenCycle(action="retrain", model="reranker", new_subjects=True, do_not_promote=True))
    assert "no A/B test and no promotion" in shown
    assert "new subjects" in shown
