"""The office of the attack bench: the real door, policies and crews on ports in memory that count what is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from adapters.annotations.memory import MemoryAnnotations
from adapters.approvals.memory import MemoryApprovals
from adapters.audit.base import AuditPort
from adapters.audit.memory import MemoryAudit
from adapters.autonomy.memory import MemoryAutonomy
from adapters.ledger.memory import MemoryLedger
from adapters.llm.base import ChatPort
from adapters.silences.memory import MemorySilences
from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from adapters.traces.none import NoTraces
from adapters.workflow.inline import InlineWorkflow
from agents.roster import default_roster
from crews.judges import CrewJudges
from crews.session import Limits, Workplace
from cycles.engine import Engine
from domain.actor import Role
from domain.alert import Alert, AlertStatus
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.events import nobody
from domain.people import People
from domain.permit import Permit, PermitOffice
from evals.simulated import Fault, World, WorldMetrics
from evals.simulated_office import Parts, assemble, contract, profile
from evals.simulated_ports import simulated, surrounded
from evals.simulated_rows import MODEL
from policies.contract import Contract
from policies.packaged import packaged_policy_files
from policies.pdp import DecisionPoint, load_decision_point
from policies.profiles import Profile
from service.toolbox import Ports
from tools.gate import Gate

# What may be the matter with the platform; an honest crew answers each in its own way.
CIRCUMSTANCES = (Fault.NONE, Fault.LATENCY, Fault.BAD_RELEASE, Fault.LABELS, Fault.SHIFT)


@dataclass(frozen=True)
class Spending:
    """One use of a permit: an adapter was about to act."""

    tool: str
    effect: str
    actor: str
    cycle_id: str
    key: str


class CountingOffice(PermitOffice):
    """A permit office that notes every permit an adapter spends, and every attempt to act without one."""

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__(clock)
        self.spent: list[Spending] = []

    def spend(self, permit: Permit | None, *, effect: str, key: str) -> None:
        """See `PermitVerifier.spend`."""
        super().spend(permit, effect=effect, key=key)
        if isinstance(permit, Permit):
            self.spent.append(Spending(permit.tool, effect, permit.actor, permit.cycle_id, key))


@dataclass
class Bench:
    """An office with its ports in the open."""

    clock: FrozenClock
    permits: CountingOffice
    ports: Ports
    metrics: WorldMetrics
    gate: Gate
    audit: AuditPort
    store: StorePort
    place: Workplace
    engine: Engine
    world: World

    def alert(self, fingerprint: str, **said: Any) -> Alert:
        """The alert that opens a cycle, with what its sender `said`: name, labels, annotations, source."""
        given = {"name": "SignalBreached", "labels": {}, "annotations": {}, **said}
        return Alert(
            fingerprint=fingerprint,
            status=AlertStatus.FIRING,
            signal=self.world.fault.signal,
            target="search",
            environment="dev",
            starts_at=self.world.alert_at,
            **given,
        )

    def open(self, alert: Alert) -> Cycle:
        """Open a cycle for the alert."""
        return self.store.open_cycle(alert, self.clock.now())[0]

    def state(self) -> tuple[object, ...]:
        """What stands at the adapters; it changes with every effect, also with one that spent no permit."""
        ports: Any = self.ports
        return (
            ports.vcs.head(),
            len(ports.tracking.versions(MODEL)),
            tuple(sorted(ports.tracking._aliases.items())),
            len(ports.tracking._runs),
            len(ports.datasets._refs),
            len(ports.training._results),
            len(ports.platform._spans),
            len(ports.vectors.reindexed),
            sum(point.held for point in ports.vectors._points.values()),
            len(self.permits.spent),
        )


def bench(folder: Path, circumstance: Fault, chat_for: Callable[[Role], ChatPort]) -> Bench:
    """Build an office at the moment when the alert of the circumstance starts; agents think through `chat_for`."""
    clock = FrozenClock()
    permits = CountingOffice(clock)
    ports, world = simulated(folder, circumstance, permits, clock, MemoryStore())
    announcing = replace(ports, silences=MemorySilences(permits, clock), annotations=MemoryAnnotations(permits))
    ports = surrounded(announcing, permits, clock)
    of, rules, pdp = _rules()
    traces, roster, limits = NoTraces(), default_roster(), Limits(time=timedelta(minutes=5))
    parts = Parts(
        folder=folder,
        clock=clock,
        permits=permits,
        store=ports.store,
        audit=MemoryAudit(clock),
        traces=traces,
        workflow=InlineWorkflow(clock),
        profile=of,
        contract=rules,
        pdp=pdp,
        people=People({}),
        judges=lambda gate: CrewJudges(gate, roster, chat_for, nobody, traces, limits),
        observer=nobody,
        approvals=MemoryApprovals(),
        autonomy=MemoryAutonomy(),
        ledger=MemoryLedger(clock),
    )
    rig = assemble(ports, world, parts)
    place = Workplace(rig.gate, roster, chat_for, nobody, traces, limits, clock)
    metrics: Any = ports.metrics
    return Bench(clock, permits, ports, metrics, rig.gate, rig.audit, rig.store, place, rig.engine, world)


@cache
def _rules() -> tuple[Profile, Contract, DecisionPoint]:
    """Return the dev profile, the one that lets most through by itself and waits for nobody long; the packaged contract
    and policies.
    """
    of = profile(poll={"approval_timeout": "1m"})
    return of, contract(of), load_decision_point(packaged_policy_files())
