"""From git to live: a commit is applied, by itself or because the delivery is told to, and waited for."""

from __future__ import annotations

from datetime import timedelta

from cycles.desk import CallFailed, CallRefused, Desk
from domain.actor import Role
from domain.candidate import LiveState
from domain.errors import DependencyTimeout
from domain.stage import StageResult
from tools.deliver.live import AwaitArgs, LiveView, RolloutView, SyncArgs, SyncView
from tools.tool import Nothing

SYNC = "sync_live"
ROLLOUT = "rollout_status"
# Something else is being applied just now: the one failure that waiting mends.
_BUSY = "ConflictError"
# The platform is waited for in parts: between them the cycle sees a kill switch.
SLICE = timedelta(minutes=1)
# Failures of being told to that stay so.
_FINAL = frozenset({"Superseded", "OperationFailed", _BUSY})


def arrived(desk: Desk, revision: str, *, digest: str | None = None, place: str = "") -> LiveState | StageResult:
    """Return what is live once it is `revision`, or when to come back because it is not yet or something else is.

    Raises:
        CallRefused: the door said no. CallFailed: it did not come live, and why.
    """
    coming_back = told(desk, revision)
    if coming_back is not None:
        return coming_back
    poll = desk.profile.poll
    waited = desk.since(f"awaited_{revision[:12]}") if poll.delivery_timeout > SLICE else timedelta()
    part = min(SLICE, max(poll.delivery_timeout - waited, poll.delivery))
    wait = AwaitArgs(revision=revision, digest=digest, timeout_s=part.total_seconds())
    try:
        return desk.do("await_live", wait, Role.DEVOPS_ENGINEER, LiveView, place=place).live
    except CallFailed as failure:
        if failure.error == DependencyTimeout.__name__ and waited + part < poll.delivery_timeout:
            return StageResult(next=desk.cycle.stage, reason=str(failure), wait=poll.delivery)
        _look_at_rollout(desk, revision)
        raise


def told(desk: Desk, revision: str) -> StageResult | None:
    """Tell the delivery to apply the newest commit, where it can be told; None once it was.

    Raises:
        CallRefused, CallFailed.
    """
    if SYNC not in desk.office.gate.registry:
        return None
    try:
        desk.do(SYNC, SyncArgs(revision=revision), Role.DEVOPS_ENGINEER, SyncView)
    except CallFailed as failure:
        poll = desk.profile.poll
        if failure.error != _BUSY or desk.since(f"{SYNC}_{revision[:12]}") >= poll.delivery_timeout:
            raise
        return StageResult(next=desk.cycle.stage, reason=str(failure), wait=poll.delivery)
    return None


def lost(failure: CallFailed) -> bool:
    """Whether a failure of `arrived` says that the revision will not come; another one may pass."""
    return failure.dependency != SYNC or failure.error in _FINAL


def _look_at_rollout(desk: Desk, revision: str) -> None:
    """Keep what the rollout says of a revision that did not come live, for whoever asks why."""
    if ROLLOUT not in desk.office.gate.registry:
        return
    try:
        desk.keep("rollout", desk.do(ROLLOUT, Nothing(), Role.DEVOPS_ENGINEER, RolloutView, place=revision))
    except (CallRefused, CallFailed) as problem:
        desk.note(str(problem))
