"""Confirmed orders, carried out: through the same inbox, engine, door, switchboard, ballot and rulebook as everybody's.

That somebody confirmed it is on the audit chain first; where that cannot be written, nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.inbox.base import lane_of
from domain.access import Caller
from domain.alert import Alert
from domain.approval import VoteAnswer
from domain.canonical import json_ready
from domain.conversation import Proposal
from domain.errors import ConflictError, DependencyUnavailable, InvalidInput
from domain.intent import (
    Approve,
    Cancel,
    Deny,
    OpenCycle,
    OverrideGate,
    Resume,
    RollBack,
    SetFlag,
    Start,
    Stop,
)
from domain.receipt import AuditEntry, RecordKind
from domain.wish import Wish
from service.chat.events import ChatEvent, Cite, Did, Said
from service.chat.settling import Settling
from service.chat.told import cite
from service.opening import ask as put
from service.opening import wanted as wanted_alert

if TYPE_CHECKING:
    from service.wiring import App

CONFIRMED = "chat_confirmed"
"""Status of the note that says who confirmed what."""
PATIENCE = timedelta(seconds=2)
_LOOK = timedelta(milliseconds=50)


class Acts:
    """Carries orders out.

    `runs_cycles` says whether this process works cycles: else a cycle that is to be opened, or to go on, waits for one
    that does.
    """

    def __init__(self, app: App, settling: Settling, *, runs_cycles: bool = True) -> None:
        self._app = app
        self._settling = settling
        self._runs_cycles = runs_cycles

    def do(self, proposal: Proposal, caller: Caller) -> Iterator[ChatEvent]:
        """Carry out a proposal that its caller has just confirmed.

        Raises:
            AuditUnavailable: it could not be put on record; nothing was done.
            EvercrewError: it could not be done, and why.
        """
        if not proposal.intact():
            raise ConflictError(f"{proposal.id} is not what was proposed any more; nothing was done")
        target, mine = getattr(proposal.intent, "target", None), self._app.config.target
        if target not in (None, mine):
            raise ConflictError(f"{proposal.id} is about {target}, which is not cared for here; nothing was done")
        self._note(proposal, caller)
        match proposal.intent:
            case OpenCycle() as wanted:
                yield from self._open(wanted, proposal, caller)
            case Stop() | Start() as wanted:
                yield from self._switch(wanted, proposal, caller)
            case RollBack() as wanted:
                yield from self._roll_back(wanted, proposal, caller)
            case Cancel(cycle=cycle):
                self._settling.open_cycle(cycle)
                self._app.engine.cancel(cycle)
                yield Did(what=f"{cycle} ends at its next step", cycle_id=cycle)
            case Resume(cycle=cycle):
                yield from self._resume(cycle)
            case Approve() | Deny() as wanted:
                yield from self._vote(wanted, proposal, caller)
            case SetFlag() as wanted:
                yield from self._flag(wanted, proposal, caller)
            case OverrideGate() as wanted:
                yield from self._override(wanted, proposal, caller)
            case _:
                raise InvalidInput("intent", "it is no order", "Ask it as a question")

    # -- one order each ----------------------------------------------------------------------------------------------

    def _open(self, wanted: OpenCycle, proposal: Proposal, caller: Caller) -> Iterator[ChatEvent]:
        exact = self._settling.of(wanted, caller).intent
        assert isinstance(exact, OpenCycle)
        alert = self._alert(exact, proposal, caller)
        put(self._app.inbox, alert)
        cycle_id = self._taken(alert)
        if cycle_id:
            cycle = self._app.ports.store.cycle(cycle_id)
            mine = cycle is not None and cycle.alert.fingerprint == alert.fingerprint
            what = "is open" if mine else "was at work already; it was joined, and what you want of it does not bind it"
            yield Did(what=f"{cycle_id} {what}", cycle_id=cycle_id, details={"fingerprint": alert.fingerprint})
            yield from cite(Cite(kind="cycle", id=cycle_id))
            return
        what = "it is accepted and on disk; its cycle opens when a worker takes it"
        yield Did(what=what, details={"fingerprint": alert.fingerprint})

    def _alert(self, wanted: OpenCycle, proposal: Proposal, caller: Caller) -> Alert:
        wish = Wish(
            action=wanted.action,
            by=caller.person or caller.name,
            proposal=proposal.id,
            model=wanted.model if wanted.action == "retrain" else None,
            new_subjects=wanted.new_subjects,
            subjects=wanted.subjects,
            do_not_promote=wanted.do_not_promote,
            only_diagnose=wanted.only_diagnose,
        )
        app, signal = self._app, str(wanted.signal)
        return wanted_alert(
            app.routing, app.clock, wish, signal=signal, target=app.config.target, reason=wish.said(), key=proposal.id
        )

    def _taken(self, alert: Alert) -> str:
        """Return the cycle an alert led to, once a worker of this or another process has taken it; else nothing."""
        lane = lane_of(alert.environment, alert.target)
        looks = int(PATIENCE / _LOOK) if self._runs_cycles else 1
        for _ in range(looks):
            known = self._app.inbox.incident(lane, alert.fingerprint)
            if known is not None and known.cycle_id:
                return known.cycle_id
            if self._runs_cycles:
                self._app.clock.sleep(_LOOK)
        return ""

    def _switch(self, wanted: Stop | Start, proposal: Proposal, caller: Caller) -> Iterator[ChatEvent]:
        from cycles.switches import Switchboard
        from service.switching import switched

        app = self._app
        done = switched(
            Switchboard(app.ports.store, app.audit, app.clock),
            app.ports.store,
            app.profile,
            isinstance(wanted, Stop),
            by=caller.name,
            reason=_reason(proposal),
            environment=wanted.environment,
            agent=wanted.agent or "",
            tool=wanted.tool or "",
        )
        verb = "stopped" if isinstance(wanted, Stop) else "started"
        still = f"; still stopped: {'; '.join(done.still_on)}" if done.still_on else ""
        yield Did(what=f"{verb}: {proposal.shown}{still}", details={"still_on": list(done.still_on)})
        yield from cite(Cite(kind="flag", id=done.switch.name, of=done.switch.environment))

    def _roll_back(self, wanted: RollBack, proposal: Proposal, caller: Caller) -> Iterator[ChatEvent]:
        from cycles.restore import OperatorRestore

        config = self._app.config
        self._settling.of(wanted, caller)
        yield Said(text=f"Rolling back {config.target} in {config.environment}; this waits until it is live.")
        hand = OperatorRestore(
            self._app.office,
            person=caller.person or caller.name,
            target=config.target,
            environment=config.environment,
        )
        done = hand.run(self._settling.destination(wanted.to), _reason(proposal))
        live = f"{done.released.revision[:12]} is live with {done.live.digest[:19]}"
        yield Did(what=live, cycle_id=done.cycle_id, details={"notes": list(done.notes)})
        yield from cite(Cite(kind="cycle", id=done.cycle_id))

    def _resume(self, cycle_id: str) -> Iterator[ChatEvent]:
        self._settling.open_cycle(cycle_id)
        if not self._runs_cycles:
            problem = "this process works no cycles"
            raise DependencyUnavailable("workflow", problem, f"Use the service, or `evercrew cycles resume {cycle_id}`")
        self._app.engine.resume(cycle_id)
        yield Did(what=f"{cycle_id} goes on", cycle_id=cycle_id)

    def _vote(self, wanted: Approve | Deny, proposal: Proposal, caller: Caller) -> Iterator[ChatEvent]:
        from service.choice import dossier_of

        self._settling.of(wanted, caller)
        request = self._settling.request(wanted.approval)
        answer = VoteAnswer.APPROVE if isinstance(wanted, Approve) else VoteAnswer.DENY
        reason = wanted.reason if isinstance(wanted, Deny) else _reason(proposal)
        ballots, seen = self._app.office.consent.ballots, dossier_of(self._app, request).seen
        name = caller.person or caller.name
        if caller.via == "local":
            after = ballots.vote(request.id, name, answer, reason, account=caller.name, seen=seen)
        else:
            after = ballots.vote(request.id, name, answer, reason, seen=seen, caller=caller)
        state = after.state(self._app.clock.now()).value
        yield Did(what=f"{name} voted {answer.value} on {after.id}: {state}", cycle_id=after.binding.cycle_id)
        yield from cite(Cite(kind="approval", id=after.id, of=after.binding.cycle_id))

    def _flag(self, wanted: SetFlag, proposal: Proposal, caller: Caller) -> Iterator[ChatEvent]:
        from cycles.switches import Switchboard

        app = self._app
        row = Switchboard(app.ports.store, app.audit, app.clock).set_feature(
            wanted.flag, wanted.enabled, environment=wanted.environment, by=caller.name, reason=_reason(proposal)
        )
        yield Did(what=f"{row.name} is {'on' if row.enabled else 'off'} ({row.environment})")
        yield from cite(Cite(kind="flag", id=row.name, of=row.environment))

    def _override(self, wanted: OverrideGate, proposal: Proposal, caller: Caller) -> Iterator[ChatEvent]:
        book = self._app.office.rulebook
        if book is None:
            raise InvalidInput("gate", "there is no rulebook here", "Use an application with a database")
        made = book.add(self._settling.override(wanted, caller.name, _reason(proposal)))
        yield Did(what=f"{made.id}: {made.said()}", details={"override": made.id})

    # -- the record --------------------------------------------------------------------------------------------------

    def _note(self, proposal: Proposal, caller: Caller) -> None:
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id=proposal.conversation_id,
            stage="chat",
            actor=caller.name,
            args_hash=proposal.args_hash,
            status=CONFIRMED,
            body=json_ready(
                {
                    "proposal": proposal.id,
                    "intent": proposal.intent.model_dump(mode="json"),
                    "shown": proposal.shown,
                    "source": proposal.source,
                    "via": caller.via,
                }
            ),
        )
        self._app.audit.append(entry)


def _reason(proposal: Proposal) -> str:
    why = f": {proposal.reason}" if proposal.reason else ""
    return f"asked for in the chat ({proposal.conversation_id}){why}"[:500]
