"""Before an order is proposed: whether it can be carried out at all, and exactly what it would be carried out on.

What is shown to the operator is bound: a beginning of an identity becomes the identity, a day the revision that stood
then. Nothing here changes anything.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.access import Caller
from domain.approval import ApprovalRequest, ApprovalState
from domain.errors import ConflictError, InvalidInput
from domain.intent import (
    Approve,
    Cancel,
    Deny,
    Destination,
    Intent,
    OpenCycle,
    OverrideGate,
    Resume,
    RollBack,
    SetFlag,
    Start,
    Stop,
)
from domain.override import Override, override
from service.chat.wording import said

if TYPE_CHECKING:
    from domain.cycle import Cycle
    from service.wiring import App
    from tools.deliver.restore import Destination as Found

_LOOK_BACK = 1000
QUALITY = "ndcg_at_10"


class Settled:
    """An order that can be carried out: the exact intent, and how it is shown."""

    def __init__(self, intent: Intent, shown: str) -> None:
        self.intent = intent
        self.shown = shown


class Settling:
    """Settles orders for one application."""

    def __init__(self, app: App) -> None:
        self._app = app

    def of(self, intent: Intent, caller: Caller) -> Settled:
        """Return the order, settled.

        Raises:
            InvalidInput: it names what there is not, or lacks what it needs.
            ConflictError: it is not this caller's to do, or something is in the way.
            DependencyError: it cannot be found out.
        """
        match intent:
            case OpenCycle():
                return self._opening(intent)
            case RollBack():
                return self._rollback(intent)
            case Cancel(cycle=cycle) | Resume(cycle=cycle):
                found = self.open_cycle(cycle)
                of = f" ({found.target})" if self._bound() else ""
                return Settled(intent, f"{said(intent)}{of}")
            case Approve() | Deny():
                return self._vote(intent, caller)
            case SetFlag(flag=flag):
                return self._flag(intent, flag)
            case OverrideGate():
                return self._override(intent, caller)
            case Stop() | Start():
                return self._switch(intent)
        raise InvalidInput("intent", f"{said(intent)} is no order", "Ask it as a question")

    def target_of(self, intent: Intent) -> str:
        """Return the target of the cycle or the request that an order names; empty where there is none."""
        match intent:
            case Cancel(cycle=cycle) | Resume(cycle=cycle):
                found = self._app.ports.store.cycle(cycle)
                return found.target if found else ""
            case Approve(approval=approval) | Deny(approval=approval):
                with suppress(InvalidInput, ConflictError):  # `of` meets the same, and tells
                    return self.request(approval).binding.target
        return ""

    def open_cycle(self, cycle_id: str) -> Cycle:
        """Return a cycle that has not ended.

        Raises:
            InvalidInput: there is none. ConflictError: it has ended.
        """
        cycle = self._app.ports.store.cycle(cycle_id)
        if cycle is None:
            raise InvalidInput("cycle", f"{cycle_id} is not a cycle", "Ask which cycles are open")
        if cycle.stage.terminal:
            raise ConflictError(f"{cycle_id} has ended already ({cycle.stage.value})")
        return cycle

    def destination(self, to: Destination) -> Found:
        """Return where a rollback leads to.

        Raises:
            InvalidInput: nowhere, or to several places.
        """
        from service.cli_rollback import restorer_of

        return restorer_of(self._app).resolve(to.value)

    def override(self, intent: OverrideGate, by: str, reason: str) -> Override:
        """Return the override an order stands for."""
        return override(
            "gate",
            intent.gate,
            intent.threshold,
            environment=intent.environment,
            by=by,
            reason=reason,
            at=self._app.clock.now(),
            lasts=timedelta(hours=intent.hours),
        )

    # -- one order each ----------------------------------------------------------------------------------------------

    def _opening(self, intent: OpenCycle) -> Settled:
        app = self._app
        signals = app.contract.signals
        usual = QUALITY if QUALITY in signals else next(iter(signals))
        signal = intent.signal or (usual if intent.action == "retrain" else None)
        if signal is None or signal not in signals:
            raise InvalidInput("signal", f"{signal!r} is no signal", f"Name one of: {', '.join(signals)}")
        if intent.action == "retrain" and intent.model not in (None, app.config.tracking.model, "reranker"):
            raise InvalidInput("model", f"a cycle does not train {intent.model!r}", "Name the re-ranker")
        self._affordable(intent.at_most_usd)
        present = self._present()
        if present is not None:
            raise ConflictError(
                f"{present.id} works on {app.config.target} ({present.stage.value}); a new cycle would only join it, "
                f"without what you want of it. Wait for its end, or cancel it first"
            )
        exact = intent.model_copy(update={"signal": signal, "target": self._bound()})
        return Settled(exact, f"{said(exact)}; target {app.config.target} in {app.config.environment}")

    def _rollback(self, intent: RollBack) -> Settled:
        self._here(intent.environment)
        found = self.destination(intent.to)
        present = self._present()
        if present is not None:
            raise ConflictError(f"{present.id} works on {self._app.config.target}; cancel it first")
        to = Destination(how="version", value=found.revision)
        exact = intent.model_copy(update={"to": to, "target": self._bound()})
        known = f", {found.baseline.name}" if found.baseline else ""
        of = f"{bound}, " if (bound := self._bound()) else ""
        where = f"{of}revision {found.revision[:12]} of {found.at:%Y-%m-%d %H:%M} UTC{known}, model {found.digest[:19]}"
        return Settled(exact, f"{said(intent)}: {where}")

    def _vote(self, intent: Approve | Deny, caller: Caller) -> Settled:
        request = self.request(intent.approval)
        if caller.person is None:
            raise ConflictError(f"{caller.name} is no person, and a machine does not vote")
        if request.proposed_by(caller.person) or request.proposed_by(caller.name):
            raise ConflictError(f"{caller.person} proposed {request.id} and cannot decide it; somebody else has to")
        if isinstance(intent, Deny) and not intent.reason.strip():
            raise InvalidInput("reason", "a denial says why: the crew reads it", "Add: because ...")
        exact = intent.model_copy(update={"approval": request.id})
        bound = request.binding
        return Settled(
            exact, f"{said(exact)} ({bound.tool} on {bound.target} in {bound.environment}, {bound.cycle_id})"
        )

    def request(self, identity: str) -> ApprovalRequest:
        """Return the request of an identity, or of the beginning of one, that can still be decided.

        Raises:
            InvalidInput: it is the beginning of none, or of several. ConflictError: it is decided, or over.
        """
        store = self._app.office.consent.store
        exact = store.request(identity)
        known = [exact] if exact else [r for r in store.requests(limit=_LOOK_BACK) if r.id.startswith(identity)]
        if len(known) != 1:
            raise InvalidInput("approval", f"{identity} begins {len(known)} requests", "Ask what waits for you")
        state = known[0].state(self._app.clock.now())
        if state is not ApprovalState.WAITING:
            raise ConflictError(f"{known[0].id} is {state.value}: it waits for nobody")
        return known[0]

    def _flag(self, intent: Intent, flag: str) -> Settled:
        from policies.flags import FEATURES

        if flag not in FEATURES:
            raise InvalidInput("flag", f"{flag!r} is not a flag", f"Use one of: {', '.join(FEATURES)}")
        return Settled(intent, said(intent))

    def _override(self, intent: OverrideGate, caller: Caller) -> Settled:
        from policies.overrides import checked

        self._here(intent.environment)
        if self._app.office.rulebook is None:
            raise InvalidInput("gate", "there is no rulebook here", "Use an application with a database")
        checked(self._app.contract, self.override(intent, caller.name, "to be checked"))
        return Settled(intent, said(intent))

    def _switch(self, intent: Stop | Start) -> Settled:
        from cycles.switches import kill_name
        from service.switching import tools_there_are

        tools, safe = tools_there_are() if intent.tool else ((), ())
        kill_name(agent=intent.agent or "", tool=intent.tool or "", tools=tools, safe=safe)
        return Settled(intent, said(intent))

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _bound(self) -> str | None:
        """Return the target that an order is bound to, where there are several."""
        return self._app.config.target if len(self._app.targets) > 1 else None

    def _here(self, environment: str) -> None:
        here = self._app.config.environment
        if environment != here:
            problem = f"this Evercrew looks after {here}, not {environment}"
            raise InvalidInput("environment", problem, f"Ask the Evercrew of {environment}")

    def _affordable(self, at_most_usd: float | None) -> None:
        """A price is kept by the budget of a cycle, which nobody raises or lowers for one of them."""
        limit = self._app.profile.budget.cycle_usd
        if at_most_usd is not None and limit > at_most_usd:
            problem = f"a cycle may cost {limit:g} USD here, more than the {at_most_usd:g} you name"
            raise InvalidInput("at_most_usd", problem, "Lower budget.cycle_usd of the profile, or name no limit")

    def _present(self) -> Cycle | None:
        config = self._app.config
        opened = self._app.ports.store.cycles(open_only=True, limit=_LOOK_BACK)
        return next((c for c in opened if (c.target, c.environment) == (config.target, config.environment)), None)
