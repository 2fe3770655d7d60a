"""Watch: what the change really did, by measurement.

A new model that is worse is taken back; a repair that does not show is not a repair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cycles.desk import Desk
from cycles.stages.announce import let_through, quietened
from cycles.stages.claim import claim_of
from cycles.stages.guards import checked, judge_guards, well, worse
from cycles.stages.looks import QUALITY, judge_kept, judge_promotion
from domain.actor import Role
from domain.diagnosis import Action
from domain.measurement import Measurement
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult
from domain.verdict import Judgement, Verdict
from learning.canary import conclude_watch
from policies.contract import rollback_due
from tools.model.train import AliasArgs, AliasSet
from tools.observe.anomaly import AnomalyResult
from tools.observe.points import Points, PointsArgs

LATENCY = "latency_p95_ms"
# A repair has shown once this share of the loss is made good and the rest is within the noise.
RECOVERED = 0.6
# Points read before the change, for one that is needed.
SPARE = 1.5
# How long to wait for a repair to show, in current windows.
PATIENCE = 5
MOST_POINTS = 500
# After so many current windows what a signal says is what was changed, and nothing of the time before.
SETTLED = 2

_REPAIRED = {
    Action.ROLLBACK: OutcomeKind.RESTORED,
    Action.DATA_FIX: OutcomeKind.REPAIRED,
    Action.TUNE: OutcomeKind.TUNED,
}


def run(desk: Desk) -> StageResult:
    """Look once: at a promoted model by the sequential rule, at a repair by whether the signal came back."""
    repairs = desk.cycle.action in _REPAIRED
    quietened(desk, (PATIENCE + 1) * (desk.profile.measure.current if repairs else _longest(desk)))
    result = _repair(desk) if repairs else _promotion(desk)
    if result.next is not Stage.WATCH:
        let_through(desk)
    return result


def _longest(desk: Desk) -> timedelta:
    """The window by which patience with a promotion is counted: whole looks, and a whole reading of any signal."""
    return max(desk.profile.watch.window, desk.profile.measure.current)


# -- a promoted model -------------------------------------------------------------------------------------------------


def _promotion(desk: Desk) -> StageResult:
    profile = desk.profile.watch
    elapsed = desk.since("changed_at")
    # Past the last planned look there are further ones, for looks that had too few samples.
    due = min(int(elapsed / profile.interval), PATIENCE * profile.checks, MOST_POINTS)
    if due < 1:
        return StageResult(next=Stage.WATCH, reason="waiting for the first look", wait=profile.interval - elapsed)
    start = datetime.fromtimestamp(float(desk.fact("changed_at")), UTC)
    before = _baseline(desk, start)
    now = _points(desk, start + due * profile.interval, due, _served(desk), f"look {due}")
    test = judge_promotion(desk, before, now)
    verdict = conclude_watch(test, [_latency(desk, start, due), *_own_limits(desk, start, due)])
    _note_look(desk, now[-1], verdict)
    match verdict.verdict:
        case Verdict.FAIL:
            desk.keep("roll_back", {"revision": desk.fact("release")["revision"], "reason": verdict.reason[:250]})
            _write(desk, "promotion", before, verdict, profile.alpha)
            return StageResult(next=Stage.ROLL_BACK, reason=verdict.reason)
        case Verdict.PASS:
            return _kept(desk, before, now, verdict, look=due)
        case _ if elapsed > PATIENCE * profile.window:
            return _undecided(desk, before, verdict)
        case _:
            following = max((due + 1) * profile.interval, elapsed + profile.interval / 10)
            return StageResult(next=Stage.WATCH, reason=verdict.reason, wait=following - elapsed)


def _baseline(desk: Desk, start: datetime) -> list[Measurement]:
    """Return the points of the old champion before the change.

    During the A/B test it served the larger part of the users. More points are read than are needed, so that a gap in
    them does not make the watch unreadable.
    """
    profile = desk.profile.watch
    old = (desk.fact("ab") or {}).get("baseline")
    labels = {"digest": str(old)} if old else {}
    return _points(desk, start, math.ceil(SPARE * profile.baseline_checks), labels, "before")


def _served(desk: Desk) -> dict[str, str]:
    return {"digest": str(desk.fact("live")["digest"])}


def _points(
    desk: Desk, end: datetime, count: int, labels: dict[str, str], place: str, signal: str = QUALITY
) -> list[Measurement]:
    step = desk.profile.watch.interval.total_seconds()
    args = PointsArgs(signal=signal, end=end, step_s=step, count=count, labels=labels)
    return list(desk.do("metric_points", args, Role.METRICS_ANALYST, Points, place=place).points)


def _latency(desk: Desk, start: datetime, due: int) -> Judgement:
    """Judge the median of the looks' p95 by the hard limits: one slow second is not a slow model.

    A latency that is missing is `insufficient`: the watch looks on, and cannot pass without it.
    """
    return _limited(desk, start, due, LATENCY, "latency")


def _own_limits(desk: Desk, start: datetime, due: int) -> list[Judgement]:
    """Judge the signal the cycle was opened for by the rollback limits of its own row, where it has any."""
    signal = desk.cycle.alert.signal
    if signal in (QUALITY, LATENCY) or not desk.contract.signal(signal).rollback.limits:
        return []
    return [_limited(desk, start, due, signal, signal)]


def _limited(desk: Desk, start: datetime, due: int, signal: str, place: str) -> Judgement:
    interval = desk.profile.watch.interval
    count = desk.profile.watch.baseline_checks
    before = _median(_points(desk, start, count, {}, f"{place} before", signal))
    now = _median(_points(desk, start + due * interval, due, {}, f"{place} look {due}", signal))
    return rollback_due(desk.contract, signal, now, before)


def _median(points: Sequence[Measurement]) -> Measurement | None:
    usable = sorted((p for p in points if p.usable), key=lambda p: p.finite())
    return usable[len(usable) // 2] if usable else None


def _kept(
    desk: Desk, before: Sequence[Measurement], now: Sequence[Measurement], verdict: Judgement, *, look: int
) -> StageResult:
    """End a watch that passed with what may be claimed; or look on, while a later look can still say more."""
    found = claim_of(desk, judge_kept(desk, before, now), f"look {look}")
    if found.unsettled and desk.since("changed_at") <= PATIENCE * _longest(desk):
        wait = desk.profile.watch.interval
        return StageResult(next=Stage.WATCH, reason=f"{verdict.reason}; {found.reason}", wait=wait)
    _write(desk, "promotion", before, verdict, desk.profile.watch.alpha)
    digest = str(desk.fact("live")["digest"])
    desk.do("set_alias", AliasArgs(alias="champion", digest=digest), Role.ML_ENGINEER, AliasSet)
    return desk.finish(found.outcome, found.reason)


def _undecided(desk: Desk, before: Sequence[Measurement], verdict: Judgement) -> StageResult:
    """The watch could not be read. Not knowing is no reason to keep a change: it is taken back."""
    _write(desk, "promotion", before, verdict, desk.profile.watch.alpha)
    reason = f"the watch could not be read: {verdict.reason}"
    desk.keep("roll_back", {"revision": desk.fact("release")["revision"], "reason": reason[:250]})
    return StageResult(next=Stage.ROLL_BACK, reason=reason)


# -- a repair ---------------------------------------------------------------------------------------------------------


def _repair(desk: Desk) -> StageResult:
    window = desk.profile.measure.current
    elapsed = desk.since("changed_at")
    if elapsed < window:
        return StageResult(next=Stage.WATCH, reason="waiting for one window after the change", wait=window - elapsed)
    signals = list(desk.fact("snapshot", {}).get("breached") or [desk.cycle.alert.signal])
    place = f"look {len(desk.fact('watch', []))}"
    checks = [checked(desk, signal, place) for signal in signals]
    lead = next((c for c in checks if c.signal == desk.cycle.alert.signal), checks[0])
    shown = [_recovered(desk, check, leads=check is lead) for check in checks]
    guards = judge_guards(desk, place)
    lost = worse(desk, lead) if elapsed > SETTLED * window else []
    verdict = Judgement(
        verdict=Verdict.FAIL
        if lost or any(g.verdict is Verdict.FAIL for g in guards)
        else (Verdict.PASS if all(shown) and all(g.passed for g in guards) else Verdict.INSUFFICIENT),
        reason="; ".join([*(check.reason for check in checks), *(g.reason for g in guards), *lost]),
        name=lead.signal,
    )
    measured = Measurement(value=lead.current, unit="", n=1 if lead.current is not None else 0)
    _note_look(desk, measured, verdict)
    if verdict.passed:
        _write(desk, "repair", [], verdict, None)
        said = f"{lead.signal} is back at {_said(lead.current)} (baseline {_said(lead.baseline)})"
        if desk.cycle.action is Action.DATA_FIX and desk.fact("quarantined") == 0:
            return desk.finish(
                OutcomeKind.UNVERIFIED, f"{said}, and nothing of ours did it: no judgement was set aside"
            )
        action = desk.cycle.action
        outcome = _REPAIRED[action] if action is not None else OutcomeKind.UNVERIFIED
        return desk.finish(outcome, said)
    if verdict.verdict is Verdict.FAIL and (taken_back := _take_back(desk, verdict)):
        _write(desk, "repair", [], verdict, None)
        return taken_back
    if elapsed > PATIENCE * window:
        _write(desk, "repair", [], verdict, None)
        return desk.finish(OutcomeKind.UNVERIFIED, f"the change is live and has not shown: {verdict.reason}")
    return StageResult(next=Stage.WATCH, reason=verdict.reason, wait=window / 3)


def _take_back(desk: Desk, verdict: Judgement) -> StageResult | None:
    """Order the revert of a tuning that made it worse; None where there is nothing to revert."""
    release = desk.fact("release") or {}
    if desk.cycle.action is not Action.TUNE or not release.get("patch"):
        return None
    desk.keep("roll_back", {"revision": release["revision"], "reason": verdict.reason[:250]})
    return StageResult(next=Stage.ROLL_BACK, reason=verdict.reason)


def _recovered(desk: Desk, check: AnomalyResult, *, leads: bool) -> bool:
    """Whether the signal is back: within its limit or its noise, and, for the one the alert was about, most of its loss
    is made good. What cannot be told is not back, and no noise excuses what is beyond an absolute limit.
    """
    if check.current is None or check.baseline is None or not well(desk, check):
        return False
    if not leads:
        return True
    seen = desk.fact("snapshot", {}).get("readings", {}).get(check.signal, {})
    worst = seen.get("current")
    if worst is None or check.baseline == worst:
        return check.breached is False
    return (check.current - float(worst)) / (check.baseline - float(worst)) >= RECOVERED


# -- what is kept -----------------------------------------------------------------------------------------------------


def _note_look(desk: Desk, measured: Measurement, verdict: Judgement) -> None:
    look = {
        "at": desk.clock.now(),
        "value": measured.value,
        "n": measured.n,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
    }
    desk.keep("watch", [*desk.fact("watch", []), look])


def _write(desk: Desk, kind: str, before: Sequence[Measurement], verdict: Judgement, alpha: float | None) -> None:
    looks: list[dict[str, Any]] = desk.fact("watch", [])
    desk.write(
        "watch.json",
        {
            "cycle_id": desk.cycle.id,
            "kind": kind,
            "started_at": datetime.fromtimestamp(float(desk.fact("changed_at")), UTC),
            "ended_at": desk.clock.now(),
            "alpha": alpha,
            "baseline": [m.value for m in before],
            "looks": looks,
            "verdict": verdict.verdict,
            "overrides": desk.under(),
            "reason": verdict.reason,
        },
    )


def _said(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
