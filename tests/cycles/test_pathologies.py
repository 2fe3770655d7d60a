"""Cycles that would go in circles are stopped before the effect; those that only look like it are let be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cycles.pathologies import FOUND, of_dataset
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from policies.budget import LoopsProfile
from tests.support.office import Rig
from tests.support.setting import alert_of, profile
from tests.support.story import Story, given

DIAGNOSIS: dict[str, Any] = {
    "root_cause": "corpus_shift",
    "affected_categories": ["space"],
    "tuning": {},
    "suspect_digest": None,
}
LOOPS = LoopsProfile(window=timedelta(days=14), ineffective=2, propagation=timedelta(minutes=5))


def story(folder: Path, action: Action, **wiring: Any) -> Story:
    """Return a story with the thresholds of these tests."""
    return given(folder, action, of=profile().model_copy(update={"loops": LOOPS}), **wiring)


def past(rig: Rig, action: Action, outcome: OutcomeKind, *, ago: timedelta = timedelta(hours=1), **facts: Any) -> Cycle:
    """Put a cycle into the store that ended so long ago."""
    cycle = rig.open(alert_of(action, rig.clock))
    at = rig.clock.now() - ago
    kept = {"diagnosis": {"value": {**DIAGNOSIS, **facts.pop("diagnosis", {})}}, **facts}
    update = {"stage": Stage.DONE, "action": action, "outcome": outcome, "facts": kept, "updated_at": at}
    rig.store.save(cycle.model_copy(update=update))
    return cycle


def loops(told: Story) -> list[str]:
    """Return the kinds of circles that were told."""
    return [event.answer for event in told.rig.events if event.kind == "loop"]


def change(name: str, before: str, after: str, *, undo: bool = False) -> dict[str, Any]:
    """Return a value a cycle set, as it is kept."""
    return {"name": name, "before": before, "after": after, "undo": undo}


def released(rig: Rig, *changes: Mapping[str, Any], ago: timedelta = timedelta(hours=1)) -> dict[str, Any]:
    """Return the facts of a cycle that released something."""
    return {
        "changed_values": list(changes),
        "release": {"revision": "r1", "previous": "r0", "patch": "-a\n+b"},
        "changed_at": (rig.clock.now() - ago).timestamp(),
    }


# -- the same action again ------------------------------------------------------------------------------------------


def causes(told: Story) -> tuple[str, list[str]]:
    """Return what the judges of these tests diagnose."""
    value = told.rig.office.store.cycle(told.cycle.id)
    assert value is not None
    diagnosed = value.facts["diagnosis"]["value"]
    return diagnosed["root_cause"], list(diagnosed["affected_categories"])


@pytest.fixture
def cause(tmp_path: Path) -> dict[str, Any]:
    """What a retrain is diagnosed by here."""
    root, categories = causes(story(tmp_path / "first", Action.RETRAIN).runs())
    return {"root_cause": root, "affected_categories": categories}


def test_a_retrain_that_did_not_show_twice_is_not_tried_a_third_time(tmp_path: Path, cause: dict[str, Any]) -> None:
    told = story(tmp_path / "own", Action.RETRAIN)
    for outcome in (OutcomeKind.NOT_PROMOTED, OutcomeKind.ROLLED_BACK):
        past(told.rig, Action.RETRAIN, outcome, diagnosis=cause)
    told.runs().expect_end(OutcomeKind.HANDED_OFF).said("going in circles (ineffective)", "did not show 2 times")
    told.is_proven()
    assert loops(told) == ["ineffective"]
    assert told.effects == ["notify"]
    assert told.path == ["observe", "diagnose", "plan", "learn", "done"]
    written = told.rig.office.artifacts.read(told.cycle.id, "outcome.json")
    assert written is not None
    assert (written["pathology"]["kind"], len(written["pathology"]["evidence"]["cycles"])) == ("ineffective", 2)
    noted = [r.entry for r in told.rig.audit.records(told.cycle.id) if r.entry.status == "loop_ineffective"]
    assert [entry.body["decision"] for entry in noted] == ["handed off"]


@pytest.mark.parametrize(
    ("outcome", "diagnosis", "ago"),
    [
        (OutcomeKind.IMPROVED, {}, timedelta(hours=1)),
        (OutcomeKind.NOT_PROMOTED, {"affected_categories": ["sailing"]}, timedelta(hours=1)),
        (OutcomeKind.NOT_PROMOTED, {"root_cause": "data_quality"}, timedelta(hours=1)),
        (OutcomeKind.NOT_PROMOTED, {}, timedelta(days=15)),
        (OutcomeKind.HANDED_OFF, {}, timedelta(hours=1)),
        (OutcomeKind.CANCELLED, {}, timedelta(hours=1)),
    ],
    ids=["it showed", "another shift", "another cause", "long ago", "never tried", "called off"],
)
def test_a_retrain_after_something_else_is_allowed(
    tmp_path: Path, cause: dict[str, Any], outcome: OutcomeKind, diagnosis: dict[str, Any], ago: timedelta
) -> None:
    told = story(tmp_path / "own", Action.RETRAIN)
    for _ in range(3):
        past(told.rig, Action.RETRAIN, outcome, ago=ago, diagnosis={**cause, **diagnosis})
    told.runs().expect_end(OutcomeKind.IMPROVED)
    assert loops(told) == []


# -- back and forth ----------------------------------------------------------------------------------------------------


def test_a_setting_is_not_set_back_to_what_we_replaced(tmp_path: Path) -> None:
    told = story(tmp_path, Action.TUNE)
    facts = released(told.rig, change("mode", "balanced", "exhaustive"))
    past(told.rig, Action.TUNE, OutcomeKind.TUNED, **facts)
    told.runs().expect_end(OutcomeKind.HANDED_OFF).said("oscillation", "mode would go back to balanced")
    assert loops(told) == ["oscillation"]
    assert told.effects == ["notify"]


@pytest.mark.parametrize(
    "before", [change("mode", "fast", "balanced"), change("tier", "balanced", "exhaustive")], ids=["others", "tier"]
)
def test_a_setting_that_somebody_else_changed_is_set_right(tmp_path: Path, before: dict[str, Any]) -> None:
    told = story(tmp_path, Action.TUNE)
    past(told.rig, Action.TUNE, OutcomeKind.TUNED, **released(told.rig, before))
    told.runs().expect_end(OutcomeKind.TUNED)
    assert loops(told) == []
    assert told.cycle.facts["changed_values"][0]["after"] == "balanced"


def test_what_was_planned_and_never_released_is_no_change(tmp_path: Path) -> None:
    told = story(tmp_path, Action.TUNE)
    past(
        told.rig,
        Action.TUNE,
        OutcomeKind.HANDED_OFF,
        changed_values=[change("mode", "balanced", "exhaustive")],
    )
    told.runs().expect_end(OutcomeKind.TUNED)


def test_a_model_we_replaced_does_not_come_back(tmp_path: Path) -> None:
    first = story(tmp_path / "first", Action.RETRAIN)
    past(first.rig, Action.NOISE, OutcomeKind.LEFT_ALONE)  # the same number, and so the same data
    first.runs()
    candidate = first.cycle.facts["candidate"]["model"]["digest"]
    live = first.cycle.facts["changed_values"][0]["before"]
    told = story(tmp_path / "own", Action.RETRAIN)
    facts = released(told.rig, change("model", candidate, live))
    past(told.rig, Action.RETRAIN, OutcomeKind.IMPROVED, **facts)
    told.runs().expect_end(OutcomeKind.HANDED_OFF).said("oscillation", "model would go back to")
    assert "promote" not in told.effects
    assert "ab_stop" in told.effects


def test_a_bad_release_is_taken_back_even_when_it_was_ours(tmp_path: Path) -> None:
    told = story(tmp_path, Action.ROLLBACK)
    told.runs().expect_end(OutcomeKind.RESTORED)
    made = told.cycle.facts["changed_values"]
    assert [c["undo"] for c in made] == [True]
    assert loops(told) == []


# -- what we broke ourselves -------------------------------------------------------------------------------------------


def own_release(told: Story, ago: timedelta) -> None:
    """Let the newest release be one of ours, so long ago."""
    rig = told.rig
    revision = rig.ports.vcs.head()
    facts = released(rig, change("model", "sha256:a", "sha256:b"), ago=ago)
    facts["release"]["revision"] = revision
    past(rig, Action.RETRAIN, OutcomeKind.IMPROVED, ago=ago, **facts)


def test_an_alert_that_our_own_release_caused_takes_it_back_and_trains_nothing(tmp_path: Path) -> None:
    told = story(tmp_path, Action.RETRAIN)
    own_release(told, timedelta(seconds=8))
    told.runs()
    assert loops(told) == ["own_change"]
    assert "train_model" not in told.effects
    assert "roll_back" in told.path
    found = told.cycle.facts[FOUND]
    assert (found["kind"], found["decision"]) == ("own_change", "taken back")
    assert found["evidence"]["after"] < found["evidence"]["before"]


def test_a_release_of_ours_that_is_not_the_last_one_is_left_to_a_person(tmp_path: Path) -> None:
    told = story(tmp_path, Action.RETRAIN)
    facts = released(told.rig, change("model", "sha256:a", "sha256:b"), ago=timedelta(seconds=8))
    past(told.rig, Action.RETRAIN, OutcomeKind.IMPROVED, ago=timedelta(seconds=8), **facts)
    told.runs().expect_end(OutcomeKind.HANDED_OFF).said("own change")
    assert told.effects == ["notify"]
    assert told.cycle.facts[FOUND]["decision"] == "handed off"


@pytest.mark.parametrize("ago", [timedelta(minutes=2), timedelta(minutes=20)], ids=["moved later", "long ago"])
def test_an_alert_for_another_reason_is_worked_on(tmp_path: Path, ago: timedelta) -> None:
    told = story(tmp_path, Action.RETRAIN)
    own_release(told, ago)
    told.runs().expect_end(OutcomeKind.IMPROVED)
    assert loops(told) == []


# -- learning from ourselves -------------------------------------------------------------------------------------------


def test_a_dataset_that_is_mostly_generated_is_not_trained_on(tmp_path: Path) -> None:
    limits = LOOPS.model_copy(update={"max_synthetic": 0.01})
    told = given(tmp_path, Action.RETRAIN, of=profile().model_copy(update={"loops": limits})).runs()
    told.expect_end(OutcomeKind.HANDED_OFF).said("own output", "is generated")
    assert loops(told) == ["own_output"]
    assert told.effects == ["dataset_version", "notify"]
    manifest = told.rig.office.artifacts.read(told.cycle.id, "dataset_manifest.yaml")
    assert manifest is not None
    assert manifest["provenance"]["generated"] > 0
    assert manifest["provenance"]["judged"] == manifest["statistics"]["judged_examples"]


def test_judgements_that_only_confirm_a_model_of_ours_are_no_news(tmp_path: Path) -> None:
    told = story(tmp_path, Action.RETRAIN)
    made = {"generated": 5.0, "judged": 95.0, "confirmed": {"sha256:ours": 1.0}}
    rig = told.rig
    cycle = rig.open(alert_of(Action.RETRAIN, rig.clock))
    assert of_dataset(rig.desk(cycle), made) is None
    rig.store.save(cycle.model_copy(update={"stage": Stage.DONE}))
    past(rig, Action.RETRAIN, OutcomeKind.IMPROVED, candidate={"model": {"digest": "sha256:ours"}})
    ended = of_dataset(rig.desk(rig.open(alert_of(Action.RETRAIN, rig.clock))), made)
    assert ended is not None
    assert "comes from ourselves" in ended.reason
