"""What a promotion that is kept may claim. `improved` rests on two measurements, and neither stands for the other.

The quality has gained beyond the error of its own comparison; and the signal that the cycle was opened for, where it
was off, is well again. A better model does not make an alert about something else true or false.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cycles.desk import Desk
from cycles.stages.guards import checked, well
from cycles.stages.looks import QUALITY
from domain.outcome import OutcomeKind
from domain.verdict import Judgement, Verdict


@dataclass(frozen=True)
class Cure:
    """Whether the signal of the alert is well again; None while that cannot be told yet, or is not so yet."""

    shown: bool | None
    said: str


@dataclass(frozen=True)
class Claim:
    """How a promotion that is kept may end; `unsettled` when a later look can still say more."""

    outcome: OutcomeKind
    reason: str
    unsettled: bool


def claim_of(desk: Desk, gain: Judgement, place: str) -> Claim:
    """Return what may be claimed after a watch that passed; `gain` is that of the quality, `place` names the look."""
    cure = _cure(desk, place)
    reason = "; ".join(part for part in (_gained(gain), cure.said) if part)
    if gain.passed and cure.shown:
        return Claim(OutcomeKind.IMPROVED, reason, unsettled=False)
    # A gain that was not shown by the planned looks is not shown by more of them: they would be chosen by the result.
    return Claim(OutcomeKind.UNVERIFIED, reason, unsettled=gain.passed and cure.shown is None)


def _gained(gain: Judgement) -> str:
    was, now, lower = (gain.figures.get(name) for name in ("baseline", "current", "lower"))
    if not all(isinstance(figure, float) for figure in (was, now, lower)):
        return f"not worse, and no gain was measured: {gain.reason}"
    said = f"nDCG@10 {was:.3f} before, {now:.3f} after, on live traffic"
    if gain.passed:
        return f"{said}, a gain of at least {lower:.3f}"
    why = "no gain was measured" if gain.verdict is Verdict.FAIL else "the gain is within its error"
    return f"not worse, and {why}: {said}; lower bound of the gain {lower:+.3f}"


def _cure(desk: Desk, place: str) -> Cure:
    """Judge the signal of the alert by a whole current window after the change."""
    signal = desk.cycle.alert.signal
    snapshot = desk.fact("snapshot") or {}
    reading = snapshot.get("readings", {}).get(signal)
    if reading is None:
        return Cure(False, f"the alert is about {signal}, which is not measured here")
    if signal == QUALITY:
        # The gain is the measurement of this very signal; how far it is from where it was is said, not judged: the
        # traffic before the alert may be one that there is no more.
        return Cure(True, _stands(reading.get("baseline")))
    if reading.get("breached") is False:
        return Cure(True, "")
    left = desk.profile.measure.current - desk.since("changed_at")
    if left > timedelta():
        return Cure(None, f"{signal} was off, and no whole window has passed since the change")
    check = checked(desk, signal, place)
    if well(desk, check):
        return Cure(True, f"{signal} is well again: {check.reason}")
    return Cure(None, f"{signal}, which the alert is about, is not measured to be well again: {check.reason}")


def _stands(baseline: float | None) -> str:
    return "" if baseline is None else f"{baseline:.3f} before the alert"
