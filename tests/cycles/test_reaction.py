"""How long the first remedy took, by the chain; beyond the contract it is an event of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cycles.desk import Desk
from cycles.reaction import reaction
from cycles.stages import observe
from domain.actor import Role
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage
from tests.support.office import office_in_memory
from tests.support.story import given, opened
from tools.deliver.release import Released

START = FrozenClock().now()
ALLOWED = timedelta(minutes=3)


def chain(*steps: tuple[float, RecordKind, str, str]) -> list[AuditRecord]:
    """Records of (seconds after the alert, kind, tool, status), each tool with one key."""
    return [
        _record(n, START + timedelta(seconds=s), kind, tool, status) for n, (s, kind, tool, status) in enumerate(steps)
    ]


def _record(number: int, at: datetime, kind: RecordKind, tool: str, status: str) -> AuditRecord:
    entry = AuditEntry(kind=kind, cycle_id="c", tool=tool, key=f"k {tool}", actor="a", status=status, body={})
    return AuditRecord.seal(number, at, "", entry)


def test_the_first_remedy_that_happened_counts_from_its_intent() -> None:
    records = chain(
        (1.0, RecordKind.READ, "runtime_state", "done"),
        (2.0, RecordKind.INTENT, "notify", ""),
        (3.0, RecordKind.OUTCOME, "notify", "done"),
        (4.0, RecordKind.INTENT, "promote", ""),
        (5.0, RecordKind.OUTCOME, "promote", "failed"),
        (20.0, RecordKind.INTENT, "apply_tuning", ""),
        (29.0, RecordKind.OUTCOME, "apply_tuning", "done"),
    )
    found = reaction(records, "vector_index_errors", START, ALLOWED)
    assert found is not None
    assert (found.action, found.seconds, found.allowed_s, found.in_time) == ("apply_tuning", 20.0, 180.0, True)
    assert "within the 180 s" in found.said()


@pytest.mark.parametrize(("seconds", "in_time"), [(179.9, True), (180.0, False), (400.0, False)])
def test_the_contract_asks_for_less_than_its_time(seconds: float, in_time: bool) -> None:
    records = chain((seconds, RecordKind.INTENT, "roll_back", ""), (500.0, RecordKind.OUTCOME, "roll_back", "done"))
    found = reaction(records, "s", START, ALLOWED)
    assert found is not None
    assert found.in_time is in_time
    assert ("BEYOND" in found.said()) is not in_time


def test_where_nothing_was_remedied_there_is_no_reaction() -> None:
    told = chain((1.0, RecordKind.INTENT, "notify", ""), (2.0, RecordKind.OUTCOME, "notify", "done"))
    assert reaction(told, "s", START, ALLOWED) is None
    assert reaction([], "s", START, ALLOWED) is None


def test_a_cycle_records_its_reaction_in_the_artifact_and_in_the_chain(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE).runs().is_proven()
    outcome = story.rig.office.artifacts.read(story.cycle.id, "outcome.json")
    assert outcome is not None
    told = outcome["reaction"]
    assert (told["action"], told["allowed_s"], told["in_time"]) == ("apply_tuning", 300.0, True)
    assert told["seconds"] >= story.rig.profile.measure.confirm.total_seconds()
    noted = [r.entry for r in story.rig.audit.records(story.cycle.id) if r.entry.status == "reaction"]
    assert [note.body["seconds"] for note in noted] == [told["seconds"]]


def test_a_cycle_that_leaves_well_alone_has_none(tmp_path: Path) -> None:
    story = given(tmp_path, Action.NOISE).runs()
    outcome = story.rig.office.artifacts.read(story.cycle.id, "outcome.json")
    assert outcome is not None
    assert outcome["reaction"] is None


def test_a_reaction_beyond_the_contract_is_an_event_of_its_own_and_told_once(tmp_path: Path) -> None:
    clock = FrozenClock()
    rig = office_in_memory(tmp_path, Action.TUNE, clock=clock)
    cycle = opened(rig, Action.TUNE, Stage.PROMOTE)
    clock.advance(timedelta(minutes=6))
    said: list[str] = []
    desk = Desk(replace(rig.office, observer=lambda event: said.append(event.what)), cycle)
    for mode in ("fast", "balanced"):
        desk.do("apply_tuning", {"mode": mode}, Role.DEVOPS_ENGINEER, Released)
    late = [r.entry for r in rig.audit.records(cycle.id) if r.entry.status == "reaction_late"]
    assert len(late) == 1
    assert late[0].body["in_time"] is False
    assert [what for what in said if "BEYOND the 300 s" in what] == said[:1]


def test_a_row_that_asks_for_a_quick_answer_waits_less_for_a_dip_to_heal(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.TUNE)
    quick = rig.office.contract.signal("latency_p95_ms").model_copy(update={"reaction": timedelta(seconds=9)})
    signals = {**rig.office.contract.signals, "latency_p95_ms": quick}
    office = replace(rig.office, contract=rig.office.contract.model_copy(update={"signals": signals}))
    result = observe.run(Desk(office, opened(rig, Action.TUNE, Stage.OBSERVE)))
    assert result.next is Stage.OBSERVE
    assert timedelta() < result.wait <= timedelta(seconds=3)
