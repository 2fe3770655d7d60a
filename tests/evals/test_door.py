"""The measured door is the real one."""

from __future__ import annotations

from pathlib import Path

from domain.clock import SystemClock
from domain.receipt import RecordKind
from evals.door import ACTOR, CALLS_A_CYCLE, Door, measure
from tools.outcome import Done, Refused


def test_the_no_op_tools_pass_the_real_policies_and_leave_their_records(tmp_path: Path) -> None:
    door = Door(tmp_path, SystemClock())
    with door.closing:
        scope = door.scope()
        assert isinstance(door.gate.call("metric_query", {"number": 1}, ACTOR, scope), Done)
        assert isinstance(door.gate.call("notify", {"number": 1}, ACTOR, scope), Done)
        kinds = [record.entry.kind for record in door.audit.records(scope.cycle_id)]
        assert kinds == [RecordKind.READ, RecordKind.INTENT, RecordKind.OUTCOME]
        assert door.pdp.decide(door.request(scope)).allowed


def test_the_measured_door_stays_shut_for_arguments_it_does_not_know(tmp_path: Path) -> None:
    door = Door(tmp_path, SystemClock())
    with door.closing:
        assert isinstance(door.gate.call("notify", {"word": "x"}, ACTOR, door.scope()), Refused)


def test_every_row_is_timed_and_no_overhead_is_negative(tmp_path: Path) -> None:
    gate, policy = measure(tmp_path, SystemClock(), calls=CALLS_A_CYCLE, records=20)
    for row in gate.rows:
        p50, p95 = row["p50 ms"], row["p95 ms"]
        assert isinstance(p50, float)
        assert isinstance(p95, float)
        assert 0 < p50 <= p95
    assert [row["records flushed"] for row in gate.rows] == [0, 1, 1, 2, 2]
    assert len(policy.rows) == 3
