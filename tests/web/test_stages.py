"""The stages of a cycle on its way, and how it stands."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.receipt import AuditRecord, RecordKind
from domain.stage import Stage
from service.web.stages import stages_of, steps_of
from service.web.standing import did_of, row_of, status_of, title_of, wants_of
from tests.web.made import alert_on, entry

CLOCK = FrozenClock()


def _cycle(stage: Stage, **fields: Any) -> Cycle:
    at = FrozenClock().now()
    alert = alert_on("search", "it fell")
    given = {"id": "si_2026_01_01_001", "target": "search", "environment": "dev", "opened_at": at, "updated_at": at}
    return Cycle.model_validate({**given, "alert": alert, "stage": stage, **fields})


def _walked(*stages: Stage, reason: str = "because") -> list[AuditRecord]:
    """Return the transitions of a cycle that stayed ten seconds in each stage."""
    clock = FrozenClock()
    audit = MemoryAudit(clock)
    for stage, following in pairwise(stages):
        clock.advance(timedelta(seconds=10))
        move = entry(RecordKind.TRANSITION, stage=stage.value, status=following.value, body={"reason": reason})
        audit.append(move)
    return list(audit.records())


def _states(cycle: Cycle, records: list[AuditRecord], seconds: float = 60, **told: Any) -> dict[str, str]:
    now = FrozenClock().now() + timedelta(seconds=seconds)
    return {row.name: row.state for row in stages_of(cycle, records, now, **told)}


def test_an_open_cycle_has_stages_behind_it_one_at_work_and_some_to_come() -> None:
    records = _walked(Stage.OBSERVE, Stage.DIAGNOSE, Stage.PLAN)
    states = _states(_cycle(Stage.PLAN), records)
    assert (states["observe"], states["plan"], states["train"]) == ("done", "working", "ahead")
    assert "roll_back" not in states


def test_a_stage_took_as_long_as_between_the_moves_and_the_present_one_goes_on() -> None:
    rows = stages_of(
        _cycle(Stage.PLAN),
        _walked(Stage.OBSERVE, Stage.DIAGNOSE, Stage.PLAN),
        FrozenClock().now() + timedelta(seconds=65),
    )
    seconds = {row.name: row.seconds for row in rows}
    assert (seconds["observe"], seconds["diagnose"], seconds["plan"]) == (10.0, 10.0, 45.0)
    assert seconds["train"] is None
    assert next(row for row in rows if row.name == "plan").took == "45.0 s so far"


def test_a_stage_that_was_come_back_to_counts_all_its_visits() -> None:
    records = _walked(Stage.TRAIN, Stage.EVALUATE, Stage.TRAIN, Stage.EVALUATE, Stage.AB)
    rows = {row.name: row for row in stages_of(_cycle(Stage.AB), records, FrozenClock().now())}
    assert (rows["train"].visits, rows["train"].seconds) == (2, 20.0)


def test_what_waits_for_people_is_no_work() -> None:
    cycle = _cycle(Stage.PROMOTE, facts={"waiting_for": "ap_1"})
    assert _states(cycle, [])["promote"] == "waiting"
    assert status_of(cycle).word == "waits for approval"
    assert _states(_cycle(Stage.PROMOTE), [], waiting=True)["promote"] == "waiting"


def test_a_cycle_that_ended_without_success_shows_where() -> None:
    records = _walked(Stage.OBSERVE, Stage.DIAGNOSE, Stage.LEARN, Stage.DONE)
    states = _states(_cycle(Stage.DONE, outcome=OutcomeKind.HANDED_OFF), records)
    assert (states["diagnose"], states["learn"], states["train"]) == ("failed", "done", "skipped")
    ended_well = _states(_cycle(Stage.DONE, outcome=OutcomeKind.LEFT_ALONE), records)
    assert ended_well["diagnose"] == "done"


def test_the_way_back_is_a_stage_where_it_was_taken() -> None:
    records = _walked(Stage.WATCH, Stage.ROLL_BACK, Stage.LEARN, Stage.DONE)
    assert _states(_cycle(Stage.DONE, outcome=OutcomeKind.ROLLED_BACK), records)["roll_back"] == "done"


def test_lists_tell_the_stages_without_reading_the_record() -> None:
    cycle = _cycle(Stage.TRAIN, timings={"observe": 1.0, "diagnose": 2.0})
    states = {row.name: row.state for row in steps_of(cycle)}
    assert (states["observe"], states["plan"], states["train"], states["ab"]) == ("done", "skipped", "working", "ahead")


@pytest.mark.parametrize(
    ("current", "baseline", "said"),
    [
        (0.36, 0.40, "nDCG@10 of search is 10\N{NO-BREAK SPACE}% below its baseline"),
        (0.44, 0.40, "nDCG@10 of search is 10\N{NO-BREAK SPACE}% above its baseline"),
        (0.40, 0.40, "nDCG@10 of search is at its baseline again"),
        (None, 0.40, "nDCG@10 of search raised an alert"),
        (0.36, 0.0, "nDCG@10 of search raised an alert"),
    ],
)
def test_the_title_says_what_is_wrong_by_what_was_measured(current: float | None, baseline: float, said: str) -> None:
    snapshot = {"readings": {"ndcg_at_10": {"current": current, "baseline": baseline}}}
    assert title_of(_cycle(Stage.DIAGNOSE, facts={"snapshot": snapshot})) == said


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_every_outcome_has_a_tone_and_no_unverified_one_is_green(kind: OutcomeKind) -> None:
    status = status_of(_cycle(Stage.DONE, outcome=kind))
    assert status.tone in {"good", "bad", "warn", "idle"}
    assert kind.verified or status.tone != "good"


@pytest.mark.parametrize("action", list(Action))
def test_every_action_is_a_sentence_before_and_after(action: Action) -> None:
    cycle = _cycle(Stage.DONE, action=action, outcome=OutcomeKind.LEFT_ALONE)
    for said in (wants_of(cycle), did_of(cycle)):
        assert said[0].isupper()
        assert "_" not in said


def test_what_was_cancelled_does_not_claim_to_have_trained_a_model() -> None:
    cycle = _cycle(Stage.CANCELLED, action=Action.RETRAIN, outcome=OutcomeKind.CANCELLED, facts={"effects": [{}]})
    assert did_of(cycle) == "Ended early, after 1 effect"
    assert row_of(cycle).wants == did_of(cycle)


def test_what_was_handed_over_says_so_where_nothing_but_the_message_was_done() -> None:
    told = _cycle(Stage.DONE, outcome=OutcomeKind.HANDED_OFF, facts={"effects": [{"name": "notify"}]})
    done = _cycle(
        Stage.DONE, outcome=OutcomeKind.HANDED_OFF, facts={"effects": [{"name": "ab_start"}, {"name": "notify"}]}
    )
    assert did_of(told) == "Handed it over to a person"
    assert did_of(done) == "Ended early, after 2 effects"


def test_a_cycle_that_was_cancelled_says_that_it_ends() -> None:
    assert status_of(_cycle(Stage.TRAIN, cancel_requested=True)).word == "ends at its next step"
    assert status_of(_cycle(Stage.WATCH, facts={"held": True})).tone == "bad"
