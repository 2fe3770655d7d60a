"""Holding a cycle back: while its target cools down, while a change window is closed, while enough models are changed.

The door refuses what is out of bounds; this makes the cycle wait for it in an orderly way, and tells why. What waits
for a window waits as long as the profile has patience. A roll-back never waits. And a cycle that does nothing about
its signal in the time of the contract is noticed while it waits, not when it ends.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cycles.desk import Desk
from cycles.limits import PROMOTE, CoolDown, Promoted, cooling, promoted_before
from cycles.reaction import STATUS
from domain.actor import Role
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult
from tools.observe.signals import Snapshot
from tools.tool import Nothing

OVERDUE = f"{STATUS}_overdue"
COOLED = "cooled"
# The longest a held cycle sleeps without a look; the shortest, too: a look costs a step.
LOOK = timedelta(minutes=30)
_LEAST = timedelta(seconds=1)


def held(desk: Desk) -> StageResult | None:
    """Return the wait before a stage that the limits do not let begin, or its end; None where nothing holds it.

    Raises:
        DependencyError: it cannot be found out.
    """
    if desk.cycle.stage is Stage.PLAN:
        return _cooling(desk)
    if desk.cycle.stage is Stage.PROMOTE and desk.cycle.action is not Action.TUNE and not desk.did(PROMOTE):
        return _window(desk) or _models(desk)
    return None


def note_overdue(desk: Desk) -> None:
    """Tell, once, that nothing was done about the signal in the time the contract allows."""
    due = _due(desk)
    if due is None or desk.clock.now() < due:
        return
    allowed, signal = desk.contract.signal(desk.cycle.alert.signal).reaction, desk.cycle.alert.signal
    said = f"nothing was done about {signal} within the {allowed.total_seconds():g} s of the contract"
    desk.put_on_record(
        OVERDUE, {"signal": signal, "allowed_s": allowed.total_seconds(), "stage": desk.cycle.stage.value}
    )
    desk.keep(OVERDUE, desk.clock.now().timestamp())
    desk.note(said, in_time=False)


def in_time(desk: Desk, result: StageResult) -> StageResult:
    """Return the step with its wait cut at the moment the reaction is due, so that a cycle asleep notices."""
    due = _due(desk) if result.wait else None
    if due is None or result.next is not desk.cycle.stage:
        return result
    left = max(due - desk.clock.now(), _LEAST)
    return result if result.wait <= left else result.model_copy(update={"wait": left})


def _due(desk: Desk) -> datetime | None:
    """When the reaction is due; None once there was one, or its lack was told, or the cycle is at its end."""
    known = desk.fact(STATUS) is not None or desk.fact(OVERDUE) is not None
    if known or desk.cycle.stage is Stage.LEARN:
        return None
    return desk.cycle.alert.starts_at + desk.contract.signal(desk.cycle.alert.signal).reaction


# -- what holds -------------------------------------------------------------------------------------------------------


def _cooling(desk: Desk) -> StageResult | None:
    limits = desk.profile.limits
    if not (limits.cool_down or limits.cool_down_after_bad):
        return None
    now = desk.clock.now()
    found: Any = desk.told(
        "cool_down", lambda: cooling(desk.office.store, desk.profile, desk.cycle, now), CoolDown | None
    )
    if found is not None:
        _once(desk, COOLED, "cool_down", found.said())
        return _wait(desk, found.said(), found.until - now)
    return _still_needed(desk) if desk.fact(COOLED) is not None else None


def _still_needed(desk: Desk) -> StageResult | None:
    """After the wait the platform may be well again: when all that was off is measured to be within its limits."""
    again = desk.do("signal_snapshot", Nothing(), Role.METRICS_ANALYST, Snapshot, place="after the cool-down")
    desk.keep(COOLED, None)
    was_off = dict.fromkeys([desk.cycle.alert.signal, *(desk.fact("snapshot") or {}).get("breached", ())])
    found = [again.readings.get(signal) for signal in was_off]
    if any(reading is None or reading.breached is not False for reading in found):
        return None
    reason = f"{', '.join(was_off)}: within the limits again after the cool-down"
    return desk.finish(OutcomeKind.LEFT_ALONE, reason)


def _window(desk: Desk) -> StageResult | None:
    windows, now = desk.profile.windows, desk.clock.now()
    if windows.open_at(now):
        return None
    opens = windows.opens(now)
    when = f"it opens at {opens:%Y-%m-%d %H:%M} UTC" if opens else "it does not open within forty days"
    return _patient(desk, "window_closed", f"a change window is closed; {when}", (opens or now + LOOK) - now)


def _models(desk: Desk) -> StageResult | None:
    limits, now = desk.profile.limits, desk.clock.now()
    found: Any = desk.told(
        "promoted", lambda: promoted_before(desk.office.store, desk.cycle, now, claim=False), Promoted
    )
    if found.today >= limits.max_models_per_day:
        said = f"{found.today} models were promoted today, and {limits.max_models_per_day} may be"
        return _patient(desk, "models_limit", said, LOOK)
    if found.at_once >= limits.max_models_at_once:
        said = f"{found.at_once} models are live and not judged yet, and {limits.max_models_at_once} may be"
        return _patient(desk, "models_limit", said, desk.profile.poll.approval)
    return None


def _patient(desk: Desk, status: str, said: str, wait: timedelta) -> StageResult:
    """Wait, or end when the patience of the profile is over; a test that still runs is then taken down."""
    _once(desk, f"{status}_told", status, said)
    patience = desk.profile.windows.patience
    waited = desk.since(f"{status}_since")
    if waited >= patience:
        return desk.finish(OutcomeKind.HANDED_OFF, f"{said}; it was waited for {patience}")
    return _wait(desk, said, min(wait, patience - waited))


def _wait(desk: Desk, reason: str, wait: timedelta) -> StageResult:
    desk.patient = True  # bounded by the time that is waited for, and not by the number of looks
    return StageResult(next=desk.cycle.stage, reason=reason, wait=max(min(wait, LOOK), _LEAST))


def _once(desk: Desk, fact: str, status: str, said: str) -> None:
    if desk.fact(fact) is not None:
        return
    desk.put_on_record(status, {"reason": said})
    desk.keep(fact, said)
    desk.note(said)
