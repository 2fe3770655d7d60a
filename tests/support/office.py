"""An office with judges that answer from a script: on whatever ports a test hands over, and the one in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from adapters.accounts.base import AccountsPort
from adapters.annotations.memory import MemoryAnnotations
from adapters.approvals.base import ApprovalsPort
from adapters.approvals.memory import MemoryApprovals
from adapters.audit.base import AuditPort
from adapters.audit.memory import MemoryAudit
from adapters.autonomy.base import AutonomyPort
from adapters.autonomy.memory import MemoryAutonomy
from adapters.ledger.base import LedgerPort
from adapters.ledger.memory import MemoryLedger
from adapters.silences.memory import MemorySilences
from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from adapters.traces.base import TracesPort
from adapters.traces.memory import MemoryTraces
from adapters.workflow.base import WorkflowPort
from adapters.workflow.inline import InlineWorkflow
from cycles.shelf import Taping
from domain.clock import Clock, FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.events import Event, Observer
from domain.people import People
from domain.permit import PermitOffice
from evals.simulated import Fault, World
from evals.simulated_office import Parts, Rig
from evals.simulated_office import assemble as wired
from evals.simulated_ports import simulated, surrounded
from policies.packaged import packaged_policy_files
from policies.pdp import load_decision_point
from policies.profiles import Profile
from service.toolbox import Ports
from tests.support.cluster import clustered
from tests.support.judges import ScriptedJudges
from tests.support.people import PEOPLE
from tests.support.setting import FAULTS, Say, alert_of, contract, profile
from tools.gate import Decider

__all__ = ["Rig", "assemble", "dones", "ended", "office_in_memory"]


def assemble(
    ports: Ports,
    *,
    store: StorePort,
    audit: AuditPort,
    permits: PermitOffice,
    clock: Clock,
    world: World,
    workflow: WorkflowPort,
    folder: Path,
    action: Action,
    pdp: Decider | None = None,
    of: Profile | None = None,
    say: Say | None = None,
    observer: Observer | None = None,
    approvals: ApprovalsPort | None = None,
    autonomy: AutonomyPort | None = None,
    people: People | None = None,
    ledger: LedgerPort | None = None,
    accounts: AccountsPort | None = None,
    traces: TracesPort | None = None,
) -> Rig:
    """Wire an office as the service does, with judges that come to `action`; what happens is kept as its `events`."""
    of, files = of or profile(), packaged_policy_files()
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)

    parts = Parts(
        folder=folder,
        clock=clock,
        permits=permits,
        store=store,
        audit=audit,
        traces=traces or MemoryTraces(clock),
        workflow=workflow,
        profile=of,
        contract=contract(of),
        pdp=pdp or load_decision_point(files),
        people=people if people is not None else PEOPLE,
        judges=lambda gate: ScriptedJudges(gate, action, say),
        observer=observer or note,
        approvals=approvals or MemoryApprovals(),
        autonomy=autonomy or MemoryAutonomy(),
        ledger=ledger or MemoryLedger(clock),
        accounts=accounts,
        taping=Taping(policy_files=lambda _: files),
    )
    return replace(wired(ports, world, parts), events=events)


def office_in_memory(
    folder: Path,
    action: Action = Action.RETRAIN,
    *,
    say: Say | None = None,
    pdp: Decider | None = None,
    of: Profile | None = None,
    change: Callable[[Ports], Ports] = lambda ports: ports,
    audit: AuditPort | None = None,
    store: StorePort | None = None,
    clock: FrozenClock | None = None,
    permits: PermitOffice | None = None,
    announces: bool = False,
    surroundings: bool = False,
    cluster: bool = False,
    traces: TracesPort | None = None,
) -> Rig:
    """Return an office on ports in memory, at the moment when the alert of a cycle of this kind starts.

    `change` may put other ports in place of some; with `announces` there are an alert manager and dashboards,
    with `surroundings` costs, a vector index, a search engine and feedback, with `cluster` a delivery that wants to be
    told and a rollout.
    """
    clock = clock or FrozenClock()
    permits = permits or PermitOffice(clock)
    ports, world = simulated(folder, FAULTS.get(action, Fault.SHIFT), permits, clock, store or MemoryStore())
    if announces:
        ports = replace(ports, silences=MemorySilences(permits, clock), annotations=MemoryAnnotations(permits))
    ports = surrounded(ports, permits, clock) if surroundings else ports
    ports = change(clustered(ports, world, permits, clock) if cluster else ports)
    return assemble(
        replace(ports),
        store=ports.store,
        audit=audit or MemoryAudit(clock),
        permits=permits,
        clock=clock,
        world=world,
        workflow=InlineWorkflow(clock),
        folder=folder,
        action=action,
        pdp=pdp,
        of=of,
        say=say,
        traces=traces,
    )


def ended(rig: Rig, action: Action) -> Cycle:
    """Run a cycle of this kind to its end."""
    cycle = rig.open(alert_of(action, rig.clock))
    rig.engine.launch()
    rig.engine.start(cycle.id)
    return rig.engine.wait(cycle.id)


def dones(rig: Rig, cycle_id: str) -> list[str]:
    """Return the effects the chain has outcomes for, in order."""
    return [
        r.entry.tool
        for r in rig.audit.records(cycle_id)
        if r.entry.kind.value == "outcome" and r.entry.status == "done"
    ]
