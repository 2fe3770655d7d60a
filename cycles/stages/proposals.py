"""What a cycle proposed and nobody approved yet: taken back before the cycle ends, so that nothing goes live unwatched.

A request that takes something back (`roll_back`, `ab_stop`) stays open: whenever it is merged, it does good. One that
is merged while it is being withdrawn is live: a release is reverted, a test is taken down by the learn stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cycles.desk import CallFailed, CallRefused, Desk
from domain.actor import Role
from domain.outcome import OutcomeKind
from domain.receipt import RecordKind
from domain.stage import Stage, StageResult
from tools.deliver.release import Released
from tools.deliver.withdraw import WithdrawArgs, Withdrawn

WITHDRAW = "withdraw_change"
# What makes something new live. All of it is asked for at these stages alone.
_FORWARD = ("ab_start", "promote", "apply_tuning")
# The fact that a stage is over and only its proposals are left to be withdrawn: it must not propose them anew.
_ENDING = "ending"
_DEALT_WITH = "proposals_ended"


@dataclass(frozen=True)
class _Proposal:
    """A call that was made and is not known to have happened; `said` is the last that was heard of it."""

    tool: str
    key: str
    args: Mapping[str, Any]
    said: str


def ending(desk: Desk) -> StageResult | None:
    """Return how the present stage ended when a crash interrupted the withdrawal of its proposals."""
    kept = desk.fact(_ENDING)
    if kept is None or kept["stage"] != desk.cycle.stage.value:
        return None
    return StageResult(next=Stage.LEARN, reason=kept["reason"])


def withdrawn(desk: Desk, result: StageResult) -> StageResult:
    """Return the end of a stage once nothing it proposed waits for approval any more; the reason says what does."""
    pending = list(_pending(desk)) if WITHDRAW in desk.office.gate.registry else []
    if not pending:
        return result
    desk.keep(_ENDING, {"stage": desk.cycle.stage.value, "reason": result.reason})
    said = [_withdraw(desk, proposal, result.reason) for proposal in pending]
    reason = "; ".join([result.reason, *filter(None, said)])
    desk.keep("outcome_reason", reason)
    if desk.fact("merged_late") is None or desk.cycle.stage is not Stage.PROMOTE:
        return StageResult(next=Stage.LEARN, reason=reason)
    release = desk.fact("merged_late")
    desk.keep("release", release)
    order = "; ".join([*filter(None, said), result.reason])
    desk.keep("roll_back", {"revision": release["revision"], "reason": order[:250]})
    return StageResult(next=Stage.ROLL_BACK, reason=reason)


def _pending(desk: Desk) -> Iterator[_Proposal]:
    """By the chain: every call that would make something new live, and has no outcome that says it did."""
    found: dict[str, _Proposal] = {}
    for record in desk.records():
        entry = record.entry
        if entry.tool not in _FORWARD or entry.kind not in (RecordKind.INTENT, RecordKind.OUTCOME):
            continue
        if entry.kind is RecordKind.INTENT:
            said = found[entry.key].said if entry.key in found else ""
            found[entry.key] = _Proposal(entry.tool, entry.key, entry.body["args"], said)
        elif entry.status == "done":
            found.pop(entry.key, None)
        elif entry.key in found:
            known = found[entry.key]
            said = str(entry.body.get("reason", known.said))
            found[entry.key] = _Proposal(known.tool, known.key, known.args, said)
    dealt_with = desk.fact(_DEALT_WITH, [])
    return (proposal for proposal in found.values() if proposal.key not in dealt_with)


def _withdraw(desk: Desk, proposal: _Proposal, reason: str) -> str:
    """Take one back, and return what whoever is told of the end has to know of it."""
    args = WithdrawArgs(proposal=proposal.key, reason=f"{desk.cycle.id} has ended: {reason}"[:1000])
    try:
        view = desk.do(WITHDRAW, args, Role.DEVOPS_ENGINEER, Withdrawn)
    except (CallRefused, CallFailed) as problem:
        desk.note(str(problem))
        return (
            f"ATTENTION: the request of {proposal.tool} could not be withdrawn ({problem}) and may still be open: "
            f"close it, for nobody watches what it makes live. Last heard of it: {proposal.said or 'nothing'}"
        )
    desk.keep(_DEALT_WITH, [*desk.fact(_DEALT_WITH, []), proposal.key])
    if view.landed:
        return _landed(desk, proposal, view.landed)
    return f"the request of {proposal.tool} was withdrawn ({proposal.said})" if view.withdrawn else ""


def _landed(desk: Desk, proposal: _Proposal, revision: str) -> str:
    """Somebody merged it in the same moment. The same call again puts it on record as what happened."""
    late = f"ATTENTION: {proposal.tool} was merged as {revision[:12]} while it was being withdrawn"
    release = Released(revision=revision, previous="", patch="")
    taken_down = desk.cycle.stage is Stage.AB
    try:
        release = desk.do(proposal.tool, proposal.args, Role.DEVOPS_ENGINEER, Released)
    except (CallRefused, CallFailed) as problem:
        desk.note(str(problem))
        taken_down = False
    desk.keep("merged_late", release)
    if desk.cycle.stage is Stage.PROMOTE:
        return f"{late}, and is reverted"
    if taken_down:
        return f"{late}, and is taken down"
    desk.cycle = desk.cycle.model_copy(update={"outcome": OutcomeKind.HANDED_OFF})
    return f"{late}: what it made live is for a person to take down"
