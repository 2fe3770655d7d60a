"""`withdraw_change`: a proposed change that nobody would watch any more is taken back before somebody merges it."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from adapters.vcs.base import EFFECT_WITHDRAW, VcsPort
from domain.decision import Effect
from domain.errors import OutcomeUnknown
from domain.observation import Observation, Seen
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class WithdrawArgs(Arguments):
    """The key of the call that proposed the change, and why it is taken back."""

    proposal: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    reason: str = Field(min_length=1, max_length=1000)


class Withdrawn(Result):
    """Whether it was taken back; `landed` is its commit where somebody merged it first, else empty."""

    withdrawn: bool
    landed: str


class WithdrawChange(Tool[WithdrawArgs, Withdrawn]):
    """Closes the request of a change; looks afterwards whether it was merged all the same."""

    spec = ToolSpec(
        "withdraw_change",
        "Take back a change that waits for approval, and tell whether it was merged all the same.",
        effect=Effect.WRITE,
        effects=(EFFECT_WITHDRAW,),
        timeout=timedelta(minutes=2),
    )
    input = WithdrawArgs
    output = Withdrawn

    def __init__(self, vcs: VcsPort) -> None:
        self._vcs = vcs

    def run(self, args: WithdrawArgs, call: Call) -> Withdrawn:
        withdrawn = self._vcs.withdraw(proposal=args.proposal, reason=args.reason, key=call.key, permit=call.permit)
        if withdrawn:
            return Withdrawn(withdrawn=True, landed="")
        seen = self._vcs.observe(args.proposal)
        if seen.seen is Seen.UNKNOWN:
            raise OutcomeUnknown(seen.detail)
        return Withdrawn(withdrawn=False, landed=str(seen.outcome["revision"]) if seen.seen is Seen.DONE else "")

    def observe(self, args: WithdrawArgs, call: Call) -> Observation:
        seen = self._vcs.observe(call.key)
        if seen.seen is not Seen.DONE:
            return seen
        return Observation.done({"withdrawn": True, "landed": ""})
