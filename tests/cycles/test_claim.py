"""What a promotion may claim: a gain beyond its error, the signal of the alert well again, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cycles.stages.claim import claim_of
from cycles.stages.looks import judge_kept
from cycles.stages.watch import PATIENCE
from domain.diagnosis import Action
from domain.measurement import Measurement
from domain.outcome import OutcomeKind
from domain.signal import SeriesQuery
from domain.stage import Stage
from domain.verdict import Judgement, Verdict
from evals.simulated import DEGRADED, WorldMetrics
from tests.support.meddling import when_stage
from tests.support.office import Rig, office_in_memory
from tests.support.replays import replayed
from tests.support.setting import alert_of
from tests.support.story import Story, given, opened

RECALL = "recall_at_20"
Level = Callable[[datetime, datetime | None], float | None]
"""(moment, when the watch began) -> what recall is."""


class Recalling(WorldMetrics):
    """The metrics of a world whose recall is what a test says."""

    def __init__(self, inner: WorldMetrics, level: Level) -> None:
        super().__init__(inner.world)
        self.level = level
        self.watched: datetime | None = None

    def _value(self, query: SeriesQuery, at: datetime) -> float | None:
        plain = super()._value(query, at)
        if query.metric != "recall" or plain is None:
            return plain
        level = self.level(at, self.watched)
        return None if level is None else plain - 0.8 + level


def about_recall(tmp_path: Path, level: Level, **world: Any) -> Story:
    """Walk a cycle that an alert about recall opened, and whose remedy is a new model."""
    made: list[Recalling] = []

    def changed(ports: Any) -> Any:
        made.append(Recalling(ports.metrics, level))
        return replace(ports, metrics=made[0])

    story = given(tmp_path, Action.RETRAIN, change=changed).when(**world)
    rig = story.rig
    when_stage(rig, "watch", lambda: setattr(made[0], "watched", rig.clock.now()))
    cycle = rig.open(alert_of(Action.RETRAIN, rig.clock).model_copy(update={"signal": RECALL}))
    rig.engine.launch()
    rig.engine.start(cycle.id)
    story._cycle = rig.engine.wait(cycle.id)
    return story


def champion(story: Story) -> bool:
    """Whether the candidate is the champion and served."""
    digest = story.cycle.facts["candidate"]["model"]["digest"]
    named = story.rig.ports.tracking.by_alias("reranker", "champion")
    return named is not None and {named.digest, story.rig.ports.delivery.live().digest} == {digest}


def low_until(healed: Callable[[datetime, datetime], bool]) -> Level:
    """Recall is at 0.6 from the alert on, and back at 0.8 once it is `healed(moment, begin of the watch)`."""
    began: list[datetime] = []

    def level(at: datetime, watched: datetime | None) -> float:
        # The office stands at the moment of the alert when the first reading is taken.
        began[:] = began or [at]
        low = at >= began[0] - timedelta(seconds=8) and not (watched is not None and healed(at, watched))
        return 0.6 if low else 0.8

    return level


def test_an_alert_about_another_signal_that_is_well_again_makes_the_gain_an_improvement(tmp_path: Path) -> None:
    story = about_recall(tmp_path, low_until(lambda at, watched: at >= watched))
    story.expect_end(OutcomeKind.IMPROVED).said("a gain of at least", f"{RECALL} is well again").is_proven()
    assert champion(story)


def test_a_gain_beside_an_alert_that_is_still_true_is_kept_and_claims_nothing(tmp_path: Path) -> None:
    story = about_recall(tmp_path, low_until(lambda at, watched: False))
    story.expect_end(OutcomeKind.UNVERIFIED).is_proven()
    story.said("a gain of at least", f"{RECALL}, which the alert is about, is not measured to be well again")
    assert champion(story)
    assert "mark_gold" not in story.effects
    watched = len(story.cycle.facts["watch"])
    assert PATIENCE * 6 <= watched <= PATIENCE * 6 + 2
    assert not story.cycle.outcome or not story.cycle.outcome.verified


def test_a_signal_that_comes_back_late_is_waited_for(tmp_path: Path) -> None:
    story = about_recall(tmp_path, low_until(lambda at, watched: at >= watched + timedelta(seconds=20)))
    story.expect_end(OutcomeKind.IMPROVED).said(f"{RECALL} is well again").is_proven()
    assert 6 < len(story.cycle.facts["watch"]) < PATIENCE * 6
    again = replayed(story.rig, story.cycle)
    assert (again.partings, again.beyond, again.same) == ((), "", True)


def test_a_signal_that_gets_worse_takes_the_model_back_however_much_the_quality_gained(tmp_path: Path) -> None:
    def level(at: datetime, watched: datetime | None) -> float:
        return 0.4 if watched is not None and at > watched else low(at, watched) or 0.0

    low = low_until(lambda at, watched: False)
    story = about_recall(tmp_path, level)
    story.expect_end(OutcomeKind.ROLLED_BACK).said(RECALL)
    assert not champion(story)


def test_without_a_gain_a_signal_that_is_well_again_is_no_improvement_and_nothing_is_waited_for(tmp_path: Path) -> None:
    still_low = low_until(lambda at, watched: False)
    story = about_recall(tmp_path, still_low, after_promotion=DEGRADED - 0.004)
    story.expect_end(OutcomeKind.UNVERIFIED).said("no gain was measured", RECALL).is_proven()
    assert len(story.cycle.facts["watch"]) == 6


def test_a_gain_that_its_error_does_not_tell_from_none_is_no_improvement(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=DEGRADED + 0.004).runs()
    story.expect_end(OutcomeKind.UNVERIFIED).said("the gain is within its error", "lower bound of the gain -")
    story.is_proven()
    assert champion(story)


def test_an_alert_about_the_quality_says_where_it_was_before(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).runs().expect_end(OutcomeKind.IMPROVED)
    story.said("a gain of at least", "before the alert")


# -- the claim by itself ---------------------------------------------------------------------------------

GAIN = Judgement(
    verdict=Verdict.PASS, reason="g", name="gain", figures={"baseline": 0.48, "current": 0.58, "lower": 0.08}
)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return office_in_memory(tmp_path_factory.mktemp("claims"), Action.RETRAIN)


def watching(rig: Rig, signal: str, reading: dict[str, Any] | None, ago: timedelta) -> Any:
    """A desk that watches a promotion for an alert about `signal`, `ago` after the change."""
    readings = {} if reading is None else {signal: reading}
    cycle = opened(rig, Action.RETRAIN, Stage.WATCH)
    facts = {"snapshot": {"readings": readings}, "changed_at": (rig.clock.now() - ago).timestamp()}
    alert = cycle.alert.model_copy(update={"signal": signal})
    cycle = cycle.model_copy(update={"facts": facts, "alert": alert})
    desk = rig.desk(cycle)
    rig.store.save(cycle.model_copy(update={"stage": Stage.DONE}))
    return desk


LONG = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("signal", "reading", "ago", "outcome", "unsettled", "said"),
    [
        (RECALL, {"breached": False}, timedelta(), OutcomeKind.IMPROVED, False, "a gain of at least"),
        (RECALL, {"breached": True}, timedelta(seconds=11), OutcomeKind.UNVERIFIED, True, "no whole window"),
        (RECALL, {"breached": True}, LONG, OutcomeKind.IMPROVED, False, "is well again"),
        (RECALL, {"breached": None}, timedelta(seconds=11), OutcomeKind.UNVERIFIED, True, "no whole window"),
        (RECALL, None, LONG, OutcomeKind.UNVERIFIED, False, "which is not measured here"),
        ("ndcg_at_10", {"breached": True, "baseline": 0.6}, timedelta(), OutcomeKind.IMPROVED, False, "0.600 before"),
    ],
)
def test_the_signal_of_the_alert_counts_as_it_stood_and_as_it_stands(
    rig: Rig,
    signal: str,
    reading: dict[str, Any] | None,
    ago: timedelta,
    outcome: OutcomeKind,
    unsettled: bool,
    said: str,
) -> None:
    found = claim_of(watching(rig, signal, reading, ago), GAIN, "look 6")
    assert (found.outcome, found.unsettled) == (outcome, unsettled)
    assert said in found.reason


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.ERROR, Verdict.INSUFFICIENT])
def test_no_gain_that_is_not_shown_is_claimed_or_waited_for(rig: Rig, verdict: Verdict) -> None:
    for figures in (GAIN.figures, {}):
        gain = Judgement(verdict=verdict, reason="why not", figures=figures)
        found = claim_of(watching(rig, RECALL, {"breached": False}, LONG), gain, "look 6")
        assert (found.outcome, found.unsettled) == (OutcomeKind.UNVERIFIED, False)
        assert found.reason.startswith("not worse, and ")


def points(level: float, stderr: float | None = 0.02, n: int = 200) -> list[Measurement]:
    wobble = (0.001, -0.002, 0.002, -0.001, 0.0, 0.001)
    return [Measurement(value=level + w, unit="score", n=n, stderr=stderr) for w in wobble]


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (points(0.5), points(0.6), Verdict.PASS),
        (points(0.5), points(0.51), Verdict.INSUFFICIENT),
        (points(0.5), points(0.5), Verdict.FAIL),
        (points(0.5), points(0.49), Verdict.FAIL),
        # The error of either side counts, and one that is no number is not passed over.
        (points(0.5), points(0.55, stderr=0.2), Verdict.INSUFFICIENT),
        (points(0.5), points(0.6, stderr=float("nan")), Verdict.ERROR),
        ([*points(0.5)[:5], *points(0.5, stderr=float("nan"))[:1]], points(0.6), Verdict.ERROR),
        (points(0.5), points(0.6)[:5], Verdict.INSUFFICIENT),
        (points(0.5), points(0.6, n=29), Verdict.INSUFFICIENT),
        (points(0.5)[:5], points(0.6), Verdict.INSUFFICIENT),
        ([], [], Verdict.INSUFFICIENT),
    ],
)
def test_the_gain_is_judged_by_the_error_of_the_looks(
    rig: Rig, before: list[Measurement], now: list[Measurement], verdict: Verdict
) -> None:
    desk = watching(rig, RECALL, {"breached": False}, LONG)
    assert judge_kept(desk, before, now).verdict is verdict
