"""A cycle is judged by the contract as it counts at that moment, and says so where an override had a part in it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.rules.memory import MemoryRules
from cycles.rules import Rulebook
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.errors import AuditUnavailable, DependencyUnavailable, InvalidInput
from domain.outcome import OutcomeKind
from domain.override import Override, override
from domain.receipt import AuditEntry, AuditRecord
from domain.stage import Stage
from policies.contract import Contract, load_contract
from policies.packaged import packaged_contract
from tests.support.flaky import Flaky, always
from tests.support.meddling import when_stage
from tests.support.office import Rig
from tests.support.story import given

CONTRACT = load_contract(packaged_contract())


class FullAudit(MemoryAudit):
    """A chain that can take nothing any more."""

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        raise AuditUnavailable("the disk is full")


class Book:
    """A rulebook in memory."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.audit = MemoryAudit(self.clock)
        self.rules = MemoryRules()
        self.book = Rulebook(self.rules, CONTRACT, self.audit, self.clock, environment="dev")

    def made(self, threshold: float = 0.02, **changed: Any) -> Override:
        asked: dict[str, Any] = {"environment": "dev", "by": "ann", "reason": "a release"}
        asked |= {"at": self.clock.now(), "lasts": timedelta(hours=2), **changed}
        return override("gate", "ndcg_at_10", threshold, **asked)

    def threshold(self) -> float:
        return self.book.contract().gate("ndcg_at_10")[0].threshold

    def statuses(self) -> list[str]:
        return [record.entry.status for record in self.audit.records()]


def overridden(rig: Rig, threshold: float) -> Override:
    """Put an override of the nDCG gate in force in an office."""
    book = rig.office.rulebook
    assert book is not None
    now = rig.clock.now()
    made = override(
        "gate",
        "ndcg_at_10",
        threshold,
        environment="dev",
        by="ann",
        reason="a stricter week",
        at=now,
        lasts=timedelta(days=2),
    )
    return book.add(made)


def test_it_counts_at_once_and_expires_by_the_clock_and_all_of_it_is_on_record() -> None:
    it = Book()
    assert it.threshold() == 0.03
    it.book.add(it.made())
    assert it.threshold() == 0.02
    it.clock.advance(timedelta(hours=2))
    assert it.threshold() == 0.03
    assert it.threshold() == 0.03
    assert it.statuses() == ["override_added", "override_expired"]
    added = it.audit.records()[0].entry
    assert (added.actor, added.body["reason"], added.body["threshold"]) == ("ann", "a release", 0.02)


def test_it_is_ended_by_a_person() -> None:
    it = Book()
    kept = it.book.add(it.made())
    it.book.end(kept.id, by="bob", reason="over")
    assert it.threshold() == 0.03
    assert it.statuses() == ["override_added", "override_ended"]
    with pytest.raises(InvalidInput, match="ov_none"):
        it.book.end("ov_none", by="bob", reason="over")
    it.clock.advance(timedelta(days=1))
    assert it.threshold() == 0.03
    assert it.statuses() == ["override_added", "override_ended"]
    assert [o.ended_by for o in it.book.listed()] == ["bob"]


def levelled(threshold: float) -> Contract:
    """The packaged contract whose gate of nDCG asks for a level."""
    spec = CONTRACT.quality_gates["ndcg_at_10"].model_copy(update={"kind": "min", "threshold": threshold})
    return CONTRACT.model_copy(update={"quality_gates": {**CONTRACT.quality_gates, "ndcg_at_10": spec}})


def test_an_override_whose_gate_became_another_kind_counts_no_more_and_that_is_told_once() -> None:
    it = Book()
    events: list[str] = []
    now = [CONTRACT]
    it.book = Rulebook(
        it.rules,
        CONTRACT,
        it.audit,
        it.clock,
        environment="dev",
        observer=lambda event: events.append(event.what),
        live=lambda: now[0],
    )
    kept = it.book.add(it.made())
    assert (kept.of, it.threshold(), it.book.left_out(kept)) == ("min_relative_delta", 0.02, "")
    now[0] = levelled(0.7)
    assert it.threshold() == 0.7
    assert it.book.counting() == ()
    assert it.book.in_force() == (kept,)
    assert "is min now" in it.book.left_out(kept)
    assert it.statuses() == ["override_added", "override_left_out"]
    left = it.audit.records()[1].entry
    assert (left.actor, left.body["id"]) == ("engine", kept.id)
    assert "is min now" in left.body["why"]
    assert "it does not count" in events[-1]
    now[0] = CONTRACT
    assert it.threshold() == 0.02


def test_one_of_an_earlier_release_without_a_kind_does_not_count_and_that_is_told() -> None:
    it = Book()
    it.rules.add(it.made())
    assert it.threshold() == 0.03
    assert it.statuses() == ["override_left_out"]
    it.book.add(it.made(0.01, at=it.clock.now() + timedelta(0), by="bob"))
    assert it.threshold() == 0.01


def test_while_it_cannot_be_put_on_record_that_one_is_left_out_nothing_is_judged() -> None:
    it = Book()
    it.rules.add(it.made())
    full = Rulebook(it.rules, CONTRACT, FullAudit(it.clock), it.clock, environment="dev")
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            full.contract()


def test_a_cycle_is_judged_by_the_gate_as_it_is_and_not_by_a_share_that_is_taken_for_a_level(tmp_path: Path) -> None:
    gate = "latency_p95_ms"
    spec = CONTRACT.quality_gates[gate].model_copy(update={"kind": "max", "threshold": 800.0})
    changed = CONTRACT.model_copy(update={"quality_gates": {**CONTRACT.quality_gates, gate: spec}})
    story = given(tmp_path, Action.RETRAIN)
    book: Any = story.rig.office.rulebook
    now, week = story.rig.clock.now(), timedelta(days=7)
    book.add(override("gate", gate, 0.9, environment="dev", by="ann", reason="r", at=now, lasts=week))
    object.__setattr__(story.rig.office, "live_contract", lambda: changed)
    book._base = lambda: changed
    story.runs()
    assert (story.cycle.facts["verdict_evaluate"], story.cycle.facts.get("overrides", [])) == ("pass", [])
    assert "override_left_out" in [record.entry.status for record in story.rig.audit.records()]


def test_that_of_another_environment_counts_nothing_here() -> None:
    it = Book()
    it.book.add(it.made(environment="production"))
    assert it.threshold() == 0.03


def test_what_may_not_be_or_cannot_be_put_on_record_is_not_in_force() -> None:
    it = Book()
    with pytest.raises(InvalidInput):
        it.book.add(it.made(-0.5))
    full = Rulebook(it.rules, CONTRACT, FullAudit(it.clock), it.clock, environment="dev")
    with pytest.raises(AuditUnavailable):
        full.add(it.made())
    assert list(it.rules.overrides()) == []


def test_a_stricter_gate_stops_a_cycle_in_flight_and_the_cycle_says_so(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    when_stage(story.rig, "train", lambda: overridden(story.rig, 0.9))
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED)
    assert "ab_start" not in story.effects
    evaluation = story.rig.office.artifacts.read(story.cycle.id, "evaluation.json")
    outcome = story.rig.office.artifacts.read(story.cycle.id, "outcome.json")
    assert evaluation is not None
    assert outcome is not None
    assert "a stricter week" in evaluation["overrides"][0]["said"]
    assert outcome["overrides"] == evaluation["overrides"]


def test_a_cycle_without_overrides_says_nothing_of_any(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).runs().expect_end(OutcomeKind.IMPROVED)
    outcome = story.rig.office.artifacts.read(story.cycle.id, "outcome.json")
    assert outcome is not None
    assert outcome["overrides"] == []


def test_while_it_cannot_be_known_what_is_in_force_nothing_is_judged(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    book: Any = story.rig.office.rulebook

    def lose() -> None:
        book._rules = Flaky(book._rules, {"unseen": always(DependencyUnavailable("store", "is away"))})

    when_stage(story.rig, "evaluate", lose)
    story.runs().expect_end(OutcomeKind.HANDED_OFF, Stage.STOPPED).said("is away")
    assert "ab_start" not in story.effects
