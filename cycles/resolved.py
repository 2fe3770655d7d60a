"""What a cycle does when the alerts it was opened for end by themselves.

While nothing was done about them it ends, with an outcome of its own, and says so: there is nothing left to mend. Once
an effect was asked for it goes on and sees for itself, for what it did has to be judged by what it did. What fires
again while the cycle ends does not join it: it is held, and leads to a cycle of its own if it still fires then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from adapters.inbox.base import InboxPort, lane_of
from cycles.desk import Desk, Office
from cycles.reaction import REMARKS
from domain.clock import Clock
from domain.cycle import Cycle
from domain.errors import DependencyError
from domain.outcome import OutcomeKind
from domain.receipt import AuditRecord, RecordKind
from domain.stage import Stage, StageResult

FACT = "resolved"
REASON = "the alert was resolved before anything was done about it"
# How often a cycle that sleeps looks whether its alerts still fire.
EVERY = timedelta(seconds=5)


def looked(office: Office, cycle: Cycle) -> tuple[Cycle, str]:
    """Return the cycle, with the fact of its alerts' end where it ends by it, and the lane while one of them fires.

    The fact is part of the state that the step begins with, so that a replay is told of it.

    Raises:
        DependencyError, AuditUnavailable: it cannot be found out.
    """
    inbox, lane = office.incidents, lane_of(cycle.environment, cycle.target)
    if inbox is None or cycle.stage is Stage.LEARN or FACT in cycle.facts:
        return cycle, ""
    fires = inbox.fires(lane, cycle.id)
    if fires is not False:
        return cycle, lane if fires else ""
    if acted(office.audit.records(cycle.id)) or not inbox.release(lane, cycle.id):
        return cycle, ""
    return cycle.with_fact(FACT, {"at": office.clock.now().isoformat()}), ""


def ended(desk: Desk) -> StageResult | None:
    """Return the end of a cycle whose alerts were resolved before anything was done; None for any other."""
    if desk.fact(FACT) is None or desk.cycle.stage is Stage.LEARN:
        return None
    return desk.finish(OutcomeKind.RESOLVED, REASON)


def acted(records: Sequence[AuditRecord]) -> bool:
    """Whether an effect was asked for that is more than a remark; an intent counts, whatever came of it."""
    return any(r.entry.kind is RecordKind.INTENT and r.entry.tool not in REMARKS for r in records)


def over(inbox: InboxPort, lane: str, cycle_id: str, clock: Clock) -> Callable[[], bool]:
    """Return what says whether none of the cycle's alerts fires any more, as of a few seconds ago."""
    following = clock.monotonic() + EVERY.total_seconds()

    def told() -> bool:
        nonlocal following
        if clock.monotonic() < following:
            return False
        following = clock.monotonic() + EVERY.total_seconds()
        try:
            return inbox.fires(lane, cycle_id) is False
        except DependencyError:
            return False

    return told
