"""What a cycle does when it cannot be recorded, and when a change that is out must not be left alone.

Held: without the store and the chain nothing can be decided, done or ended, so the cycle stays as it is on record and
asks again, a little later each time, until its records can be written. It does not end, and it is not lost: a step that
could not be recorded has not happened, and what was done in it is found again by its key.

Persisting: handing over to a person is an end, and some moments have none that is safe: a release that has to go and
is still live, a test that still has users, a push of which nobody knows whether it arrived. There the stage is tried
for as long as a person is given for an approval; who is responsible is told after the first attempts, not after the
last.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cycles.desk import CallFailed, CallRefused, Desk
from domain.actor import Role
from domain.errors import AuditUnavailable, DependencyError, IntegrityError, InvalidInput
from domain.receipt import RecordKind
from domain.stage import Stage, StageResult
from tools.notify.send import Notified, NotifyArgs

Problem = DependencyError | InvalidInput | IntegrityError

PAUSE = timedelta(seconds=1)
LONGEST = timedelta(minutes=1)
_SINCE = "persisting_since"
_TOLD = "persisting_told"
# Where an effect is out in the world whose end has to be known.
_RELEASES = ("promote", "apply_tuning")
_OUT = frozenset({Stage.AB, Stage.PROMOTE, Stage.ROLL_BACK})


def pause(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row, of which there is at least one."""
    return min(PAUSE * (1 << min(failures - 1, 16)), LONGEST)


def held(problem: DependencyError | AuditUnavailable, times: int) -> dict[str, Any]:
    """Return what a step tells of which nothing could be recorded, for the `times`-th time in a row."""
    return {"stage": "", "ended": False, "wait_s": pause(times).total_seconds(), "held": str(problem)}


def persisted(desk: Desk, problem: Problem, failures: int) -> StageResult | None:
    """Return when to try again where giving up would leave something in the world; None where it may be given up."""
    stage = desk.cycle.stage
    if not _left_out(desk, problem) or given_up(desk):
        return None
    if not desk.fact(_TOLD):
        _tell(desk, problem)
        desk.keep(_TOLD, True)
    desk.patient = True
    return StageResult(next=stage, reason=f"tried again, for it cannot be left so: {problem}", wait=pause(failures))


def pushed(desk: Desk) -> Mapping[str, Any] | None:
    """Return the release this cycle made: from the drawer, or from the chain where a crash came before the drawer."""
    release: Mapping[str, Any] | None = desk.fact("release")
    if release is not None or desk.cycle.stage is not Stage.PROMOTE:
        return release
    made = (r.entry for r in desk.records() if r.entry.tool in _RELEASES and r.entry.kind is RecordKind.OUTCOME)
    return next((entry.body["result"] for entry in made if entry.status == "done"), None)


def given_up(desk: Desk) -> bool:
    """Whether it was tried for as long as a person is given; the time begins with the first question."""
    return desk.since(_SINCE) >= desk.profile.poll.approval_timeout


def _left_out(desk: Desk, problem: Problem) -> bool:
    stage = desk.cycle.stage
    if stage is Stage.ROLL_BACK:
        return True
    if stage is Stage.LEARN:
        return isinstance(problem, CallFailed) and problem.dependency == "ab_stop"
    unknown = isinstance(problem, CallFailed) and problem.unknown
    return stage in _OUT and (unknown or (stage is Stage.AB and desk.fact("ab_lost") is not None))


def _tell(desk: Desk, problem: Problem) -> None:
    """A message that cannot be sent changes nothing: it is noted, and the end of the cycle sends one too."""
    title = f"{desk.cycle.id}: {desk.cycle.stage.value} does not succeed and is tried on"
    args = NotifyArgs(title=title, body=f"{problem}"[:4000], severity="critical")
    try:
        desk.do("notify", args, Role.SUPERVISOR, Notified)
    except (CallRefused, CallFailed) as failure:
        desk.note(str(failure))
