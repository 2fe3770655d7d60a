"""A rollback by hand: a person's cycle of its own, from the decision to the platform's own word that it is live.

It goes through the door like everything else: the policies are asked with the person as principal, the intent is on
record before the commit, and the cycle is proved by `evercrew cycles verify` afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from cycles import tracing
from cycles.approvals import OPERATOR
from cycles.desk import CallFailed, CallRefused, Desk, Office
from cycles.hands import BY_HAND
from cycles.stages import learn
from cycles.stages.live import SYNC
from domain.actor import Actor, Role
from domain.alert import Alert, AlertStatus
from domain.candidate import LiveState
from domain.cycle import Cycle
from domain.errors import ConflictError, EvercrewError
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, RecordKind
from domain.stage import Stage
from domain.trace import trace_id_of
from tools.deliver.gold import RestoreArgs
from tools.deliver.live import AwaitArgs, LiveView, SyncArgs, SyncView
from tools.deliver.release import Released
from tools.deliver.restore import Destination
from tools.model.registry import RegistryView
from tools.model.train import AliasArgs, AliasSet
from tools.outcome import Done, Failed, Refused
from tools.tool import Nothing, Scope

V = TypeVar("V", bound=BaseModel)
_SIGNAL = "ndcg_at_10"


class Restored(BaseModel):
    """What a rollback by hand did: the cycle it is recorded as, the commit, what is live, and what was left undone."""

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    released: Released
    live: LiveState
    notes: tuple[str, ...] = ()


class OperatorRestore:
    """Restores a destination for a person.

    `target` and `environment` are the configuration's; `begun` is told of the cycle it is recorded as, before anything
    is done.
    """

    def __init__(
        self,
        office: Office,
        *,
        person: str,
        target: str,
        environment: str,
        begun: Callable[[Cycle], None] = lambda _cycle: None,
    ) -> None:
        self._office = office
        self._begun = begun
        self._actor = Actor(role=Role.DEVOPS_ENGINEER, via="person", person=person)
        self._target = target
        self._environment = environment

    def run(self, destination: Destination, reason: str, *, take_over: bool = False) -> Restored:
        """Restore the values, wait until they are live, and point the alias `champion` at what is.

        With `take_over` an open cycle of the target is asked to end, and the rollback is recorded in it.

        Raises:
            ConflictError: a cycle of the target is open, and is not to be taken over.
            CallRefused: a policy or the tool says no; nothing was changed.
            CallFailed: it did not succeed; the message says what is live instead.
        """
        cycle, new = self._opened(reason, take_over)
        self._begun(cycle)
        desk = Desk(self._office, cycle)
        try:
            released = self._commit(desk, destination, reason)
        except EvercrewError as problem:
            self._close(desk, OutcomeKind.HANDED_OFF, str(problem), new)
            raise
        try:
            live = self._await(desk, destination, released)
        except EvercrewError as problem:
            self._close(desk, OutcomeKind.UNVERIFIED, str(problem), new)
            raise
        notes = self._champion(desk, destination.digest)
        said = f"{self._actor.person} restored {destination.asked} ({destination.revision[:12]}): {reason}"
        self._close(desk, OutcomeKind.RESTORED, said, new)
        return Restored(cycle_id=cycle.id, released=released, live=live, notes=notes)

    def _opened(self, reason: str, take_over: bool) -> tuple[Cycle, bool]:
        store, now = self._office.store, self._office.clock.now()
        signals = list(self._office.rules().signals)
        alert = Alert(
            fingerprint=f"rollback-{now:%Y%m%dT%H%M%S%f}",
            name=BY_HAND,
            status=AlertStatus.FIRING,
            signal=_SIGNAL if _SIGNAL in signals else signals[0],
            target=self._target,
            environment=self._environment,
            starts_at=now,
            annotations={"reason": reason, "by": str(self._actor.person)},
            source=OPERATOR,
        )
        cycle, new = store.open_cycle(alert, now)
        if not new and not take_over:
            raise ConflictError(
                f"{cycle.id} works on {self._target} ({cycle.stage.value}); end it with `evercrew cycles cancel "
                f"{cycle.id}`, or add --take-over to act in its place"
            )
        if new:
            tracing.opened(self._office.traces, cycle)
        else:
            store.request_cancel(cycle.id)
        return cycle, new

    def _commit(self, desk: Desk, destination: Destination, reason: str) -> Released:
        args = RestoreArgs(revision=destination.revision, digest=destination.digest, reason=reason)
        released = self._do(desk, "restore_values", args, Released)
        desk.keep("restored", released)
        desk.keep("reverted", released)
        return released

    def _await(self, desk: Desk, destination: Destination, released: Released) -> LiveState:
        if SYNC in desk.office.gate.registry:
            self._do(desk, SYNC, SyncArgs(revision=released.revision), SyncView)
        timeout = desk.profile.poll.delivery_timeout.total_seconds()
        wait = AwaitArgs(revision=released.revision, digest=destination.digest, timeout_s=timeout)
        live = self._do(desk, "await_live", wait, LiveView).live
        if live.digest != destination.digest or live.revision != released.revision:
            raise ConflictError(
                f"{live.digest[:19]} at {live.revision[:12]} is live, not {destination.digest[:19]} at "
                f"{released.revision[:12]}"
            )
        desk.keep("live", {"digest": live.digest, "revision": live.revision})
        return live

    def _champion(self, desk: Desk, digest: str) -> tuple[str, ...]:
        """The registry's champion is what is live; that it cannot be said does not undo that it is."""
        try:
            registry = self._do(desk, "registry_read", Nothing(), RegistryView)
            if registry.champion is None or registry.champion.digest != digest:
                self._do(desk, "set_alias", AliasArgs(alias="champion", digest=digest), AliasSet)
        except (CallRefused, CallFailed) as problem:
            return (f"the alias champion was not moved: {problem}",)
        return ()

    def _do(self, desk: Desk, tool: str, args: BaseModel | Mapping[str, Any], expected: type[V]) -> V:
        scope = Scope(
            cycle_id=desk.cycle.id,
            stage=Stage.ROLL_BACK.value,
            target=self._target,
            environment=self._environment,
            alert_at=desk.cycle.alert.starts_at,
            opened_at=desk.cycle.opened_at,
        )
        outcome = self._office.gate.call(tool, args, self._actor, scope)
        match outcome:
            case Done(value):
                return expected.model_validate(value.model_dump())
            case Refused():
                raise CallRefused(tool, outcome)
            case Failed():
                raise CallFailed(tool, outcome)

    def _close(self, desk: Desk, outcome: OutcomeKind, reason: str, new: bool) -> None:
        """End the cycle that was opened for this; one that was taken over ends by itself."""
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id=desk.cycle.id,
            stage=Stage.ROLL_BACK.value,
            actor=str(self._actor),
            status="rollback_by_hand",
            trace_id=trace_id_of(desk.cycle.id, desk.cycle.opened_at),
            body={"outcome": outcome.value, "reason": reason},
        )
        self._office.audit.append(entry)
        if not new:
            return
        desk.list_effects()
        now = self._office.clock.now()
        desk.cycle = desk.cycle.at(Stage.LEARN, now).model_copy(update={"outcome": outcome, "reason": reason})
        learn.write(desk, outcome, reason, None)
        done = desk.cycle.at(Stage.DONE, now, reason)
        self._office.store.save(done)
        tracing.ended(self._office.traces, done)
