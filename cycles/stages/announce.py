"""What is told around a change: a mark on the dashboards once it is live, and quiet about its signal while it is
watched.

Neither is ever a reason for a cycle to end differently: what fails or is refused is recorded by the door, told, and the
cycle goes on. What is not configured is not offered, and not asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cycles.desk import CallFailed, CallRefused, Desk
from domain.actor import Role
from tools.notify.annotate import AnnotateArgs, Annotated
from tools.notify.silences import LiftArgs, Lifted, SilenceArgs, Silenced

Kind = Literal["promotion", "tuning", "rollback"]


def marked(desk: Desk, kind: Kind, text: str) -> None:
    """Mark the change that has just come live, once."""
    if "annotate" not in desk.office.gate.registry:
        return
    at = _moment(desk, f"{kind}_at")
    _optional(desk, "annotate", AnnotateArgs(kind=kind, at=at, text=text[:1000]), Annotated)


def quietened(desk: Desk, longest: timedelta) -> None:
    """Silence the signal of the cycle from the change on, for as long as it can be watched; asked for once."""
    offered = "silence_alerts" in desk.office.gate.registry
    if not offered or not desk.profile.watch.silences or desk.fact("silence") is not None:
        return
    starts = _moment(desk, "changed_at")
    args = SilenceArgs(
        signal=desk.cycle.alert.signal,
        starts=starts,
        ends=starts + longest,
        reason="the change is being watched",
    )
    made = _optional(desk, "silence_alerts", args, Silenced)
    desk.keep("silence", made.silence if made is not None else "")


def let_through(desk: Desk) -> None:
    """Lift the silence of this cycle, where there is one."""
    silence = str(desk.fact("silence") or "")
    if silence:
        _optional(desk, "lift_silence", LiftArgs(silence=silence), Lifted)


def _moment(desk: Desk, fact: str) -> datetime:
    """The moment kept under `fact`, now when there is none: the same in a second run after a crash."""
    desk.since(fact)
    return datetime.fromtimestamp(float(desk.fact(fact)), UTC)


def _optional(desk: Desk, tool: str, args: Any, expected: Any) -> Any:
    try:
        return desk.do(tool, args, Role.DEVOPS_ENGINEER, expected)
    except (CallRefused, CallFailed) as problem:
        desk.note(str(problem))
        return None
