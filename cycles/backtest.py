"""What another policy set would have said of everything that was decided: recorded calls, asked about once more.

Each call is decided by the context it was decided by then. The first decision that changes in a cycle is a fact; what
comes after it in the same cycle happened in a world that the other set would not have had, and is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from domain.actor import Actor, Role
from domain.decision import Answer, AuthorizationRequest, Decision, Effect
from domain.tape import StepTape, TapedCall

# How the decision point begins when it is its engine that could not decide.
ENGINE = "the policy engine"
# The calls that put something before users.
PROMOTIONS = frozenset({"promote", "ab_start", "apply_tuning"})


class Decider(Protocol):
    """The policy decision point."""

    def decide(self, request: AuthorizationRequest) -> Decision: ...


class Turn(StrEnum):
    """How a decision changes."""

    STOPPED = "stopped"
    LET_THROUGH = "let_through"
    ASKED = "asked"
    REFUSED = "refused"


class Changed(BaseModel):
    """One decision that the other set takes otherwise.

    `then` and `now` are the answers, with the policies that decided; `first` whether nothing had changed before it in
    its cycle, so that it would have been asked for in just this way.
    """

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    step: int
    stage: str
    tool: str
    actor: str
    turn: Turn
    promotion: bool
    first: bool
    outcome: str
    then: Answer
    then_by: tuple[str, ...]
    now: Answer
    now_by: tuple[str, ...]
    why: str

    def said(self) -> str:
        """Return it in a line."""
        then, now = _by(self.then, self.then_by), _by(self.now, self.now_by)
        after = "" if self.first else " (behind an earlier change)"
        where = f"{self.cycle_id}  step {self.step:<3} {self.stage:<9} {self.tool:<20}"
        return f"{where} {then} -> {now}{after}"


class Backtest(BaseModel):
    """What changes over all cycles. `unasked` says of which decisions the other set could not be asked, and why."""

    model_config = ConfigDict(frozen=True)

    cycles: int
    decisions: int
    changed: tuple[Changed, ...]
    unasked: tuple[str, ...] = ()

    @property
    def stopped(self) -> tuple[Changed, ...]:
        """Promotions that happened, and would not have."""
        return tuple(c for c in self.changed if c.promotion and c.turn in (Turn.STOPPED, Turn.ASKED))

    @property
    def let_through(self) -> tuple[Changed, ...]:
        """Calls that were stopped, and would not have been."""
        return tuple(c for c in self.changed if c.turn is Turn.LET_THROUGH)

    @property
    def others(self) -> tuple[Changed, ...]:
        """Every other decision that changes."""
        named = {id(c) for c in (*self.stopped, *self.let_through)}
        return tuple(c for c in self.changed if id(c) not in named)


def backtest(cycles: Iterable[Sequence[StepTape]], pdp: Decider) -> Backtest:
    """Ask `pdp` about every decision of the cycles."""
    count = decisions = 0
    changed, unasked = list[Changed](), list[str]()
    for tapes in cycles:
        count += 1
        first = True
        for tape in tapes:
            for call, request in requests_of(tape):
                decisions += 1
                now = pdp.decide(request)
                if _unasked(now):
                    unasked.append(f"{tape.cycle_id} step {tape.step} {call.tool}: {now.reason}")
                    continue
                found = _changed(tape, call, now, first=first)
                if found is not None:
                    changed.append(found)
                    first = False
    return Backtest(cycles=count, decisions=decisions, changed=tuple(changed), unasked=tuple(unasked))


def requests_of(tape: StepTape) -> Iterator[tuple[TapedCall, AuthorizationRequest]]:
    """Yield what the policies were asked; where no context could be had, none was."""
    for call, context in zip(tape.calls, tape.contexts(), strict=True):
        if call.decision is None or not context or not call.effect:
            continue
        yield (
            call,
            AuthorizationRequest(
                actor=Actor(role=Role(call.role), via=call.via, person=call.person),
                tool=call.tool,
                effect=Effect(call.effect),
                target=tape.target,
                environment=tape.environment,
                context=context,
            ),
        )


def _unasked(now: Decision) -> bool:
    """Whether the set wants to know what was not known then, so that its answer is none."""
    return not now.policies and now.reason.startswith(ENGINE)


def _changed(tape: StepTape, call: TapedCall, now: Decision, *, first: bool) -> Changed | None:
    assert call.decision is not None, "only decided calls are asked about"
    then = call.decision
    if then.answer is now.answer:
        return None
    if now.answer is Answer.ALLOW:
        turn = Turn.LET_THROUGH
    elif then.answer is Answer.ALLOW:
        turn = Turn.ASKED if now.answer is Answer.ESCALATE else Turn.STOPPED
    else:
        turn = Turn.ASKED if now.answer is Answer.ESCALATE else Turn.REFUSED
    return Changed(
        cycle_id=tape.cycle_id,
        step=tape.step,
        stage=tape.stage,
        tool=call.tool,
        actor=call.actor,
        turn=turn,
        promotion=call.tool in PROMOTIONS and call.outcome.came == "done" and not call.outcome.repeated,
        first=first,
        outcome=call.outcome.said,
        then=then.answer,
        then_by=then.policies,
        now=now.answer,
        now_by=now.policies,
        why=now.reason,
    )


def _by(answer: Answer, policies: Sequence[str]) -> str:
    return f"{answer.value} ({', '.join(policies) or 'no policy'})"
