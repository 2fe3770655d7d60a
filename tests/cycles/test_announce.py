"""Marks and silences around a change: when they are made, when they are lifted, and that no cycle ends differently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.annotations.base import Annotation
from adapters.annotations.memory import MemoryAnnotations
from adapters.silences.base import Matcher, Silence
from adapters.silences.memory import MemorySilences
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable
from domain.observation import Observation
from domain.outcome import OutcomeKind
from domain.permit import Permit
from service.toolbox import Ports
from tests.support.meddling import flag, when_stage
from tests.support.office import Rig, dones
from tests.support.setting import profile
from tests.support.story import Story, given


def kept(rig: Rig) -> tuple[Sequence[Silence], Sequence[Annotation]]:
    """Return the silences and the marks there are."""
    silences, annotations = rig.ports.silences, rig.ports.annotations
    assert isinstance(silences, MemorySilences)
    assert isinstance(annotations, MemoryAnnotations)
    return list(silences.kept.values()), list(annotations.kept.values())


def test_a_promotion_is_marked_and_its_watch_is_silenced_and_then_not(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, announces=True).runs().expect_end(OutcomeKind.IMPROVED)
    (silence,), (mark,) = kept(story.rig)
    assert story.effects[-9:-3] == [
        "promote",
        "point_dataset",
        "annotate",
        "silence_alerts",
        "set_alias",
        "lift_silence",
    ]
    assert story.effects[-3:] == ["mark_gold", "describe_model", "notify"]
    assert {m.name: m.value for m in silence.matchers} == {
        "alertname": "SignalBreached",
        "signal": "ndcg_at_10",
        "target": "search",
        "environment": "dev",
    }
    assert silence.comment == f"{story.cycle.id}: the change is being watched"
    assert story.rig.ports.silences.active() == []
    assert timedelta(seconds=12) <= silence.ends_at - silence.starts_at < timedelta(seconds=60)
    assert mark.tags == ("promotion", "search", "dev", story.cycle.id)
    assert "is live" in mark.text
    story.is_proven()


def test_a_roll_back_after_a_promotion_is_marked_at_its_own_time(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, announces=True).when(after_promotion=0.3).runs()
    story.expect_end(OutcomeKind.ROLLED_BACK)
    (silence,), (promotion, rollback) = kept(story.rig)
    assert (promotion.tags[0], rollback.tags[0]) == ("promotion", "rollback")
    assert rollback.at > promotion.at
    assert silence.ends_at <= rollback.at
    assert story.rig.ports.silences.active() == []
    story.is_proven()


def test_a_repair_by_rollback_is_marked_and_watched_in_silence(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK, announces=True).runs().expect_end(OutcomeKind.RESTORED)
    (silence,), (mark,) = kept(story.rig)
    assert mark.tags[0] == "rollback"
    assert silence.starts_at == mark.at  # the clock stands still between them
    assert story.effects == ["roll_back", "annotate", "set_alias", "silence_alerts", "lift_silence", "notify"]
    assert story.rig.ports.silences.active() == []


def test_a_tuning_is_marked_as_one(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE, announces=True).runs().expect_end(OutcomeKind.TUNED)
    (silence,), (mark,) = kept(story.rig)
    assert mark.tags[0] == "tuning"
    assert {m.name: m.value for m in silence.matchers}["signal"] == "latency_p95_ms"


def test_where_the_profile_does_not_allow_it_nothing_is_silenced(tmp_path: Path) -> None:
    quiet = profile("dev", watch={"silences": False})
    story = given(tmp_path, Action.RETRAIN, announces=True, of=quiet).runs().expect_end(OutcomeKind.IMPROVED)
    silences, marks = kept(story.rig)
    assert (len(silences), len(marks)) == (0, 1)
    assert "silence_alerts" not in dones(story.rig, story.cycle.id)


def test_production_does_not_silence_and_the_other_environments_do() -> None:
    said = {name: profile(name).watch.silences for name in ("dev", "staging", "production")}
    assert said == {"dev": True, "staging": True, "production": False}


def test_what_is_not_configured_is_not_asked_for(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).runs().expect_end(OutcomeKind.IMPROVED)
    assert not {"annotate", "silence_alerts", "lift_silence"} & set(story.effects)
    assert not any("annotate" in event.what for event in story.rig.events)


class Down(MemorySilences):
    """An alert manager that does not answer."""

    def silence(self, matchers: Sequence[Matcher], *_: object, key: str, permit: Permit | None) -> str:
        raise DependencyUnavailable("alertmanager", "it does not answer")

    def observe(self, key: str) -> Observation:
        return Observation.unknown("it does not answer")


class Stuck(MemorySilences):
    """An alert manager whose silences cannot be taken down."""

    def expire(self, silence_id: str, *, key: str, permit: Permit | None) -> None:
        raise DependencyUnavailable("alertmanager", "it does not answer")


class Dark(MemoryAnnotations):
    """Dashboards that do not answer."""

    def annotate(self, annotation: Annotation, *, key: str, permit: Permit | None) -> str:
        raise DependencyUnavailable("grafana", "it does not answer")

    def observe(self, key: str) -> Observation:
        return Observation.unknown("it does not answer")


def failing(story: Callable[[Callable[[Ports], Ports]], Story], kind: type) -> Story:
    """Return the story with one of the two systems failing."""

    def change(ports: Ports) -> Ports:
        if issubclass(kind, MemoryAnnotations):
            return replace(ports, annotations=kind(ports.annotations._permits))  # type: ignore[attr-defined]
        silences = ports.silences
        assert isinstance(silences, MemorySilences)
        assert issubclass(kind, MemorySilences)
        return replace(ports, silences=kind(silences._permits, silences._clock))

    return story(change)


@pytest.mark.parametrize("kind", [Down, Stuck, Dark])
@pytest.mark.parametrize(
    ("action", "outcome"), [(Action.RETRAIN, OutcomeKind.IMPROVED), (Action.ROLLBACK, OutcomeKind.RESTORED)]
)
def test_a_system_that_fails_changes_no_end(tmp_path: Path, kind: type, action: Action, outcome: OutcomeKind) -> None:
    story = failing(lambda change: given(tmp_path, action, announces=True, change=change), kind)
    story.runs().expect_end(outcome).is_proven()
    assert any("it does not answer" in event.what for event in story.rig.events)
    if kind is Stuck:
        (silence,) = story.rig.ports.silences.active()
        assert silence.ends_at - silence.starts_at < timedelta(minutes=2)


def test_with_the_kill_switch_on_a_rollback_is_marked_and_nothing_is_silenced(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK, announces=True)
    when_stage(story.rig, "roll_back", lambda: flag(story.rig, "kill_switch", True))
    story.runs()
    silences, marks = kept(story.rig)
    assert (len(silences), [m.tags[0] for m in marks]) == (0, ["rollback"])
