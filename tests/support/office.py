"""The wiring of one office, on whatever ports a test hands over; and the office in memory that most tests want."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.accounts.base import AccountsPort
from adapters.annotations.memory import MemoryAnnotations
from adapters.annotations.none import NoAnnotations
from adapters.approvals.base import ApprovalsPort
from adapters.approvals.memory import MemoryApprovals
from adapters.audit.base import AuditPort
from adapters.audit.memory import MemoryAudit
from adapters.autonomy.base import AutonomyPort
from adapters.autonomy.memory import MemoryAutonomy
from adapters.datasets.memory import MemoryDatasets
from adapters.delivery.local import LocalDelivery
from adapters.evaluation.measure import Prices, Ranked
from adapters.evaluation.memory import MemoryEvaluation
from adapters.ledger.base import LedgerPort
from adapters.ledger.memory import MemoryLedger
from adapters.logs.platform import PlatformLogs
from adapters.notify.memory import MemoryNotify
from adapters.platform.memory import MemoryPlatform
from adapters.retrieval.memory import MemoryRetrieval
from adapters.rules.memory import MemoryRules
from adapters.sandbox.memory import MemorySandbox
from adapters.silences.memory import MemorySilences
from adapters.silences.none import NoSilences
from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from adapters.traces.base import TracesPort
from adapters.traces.memory import MemoryTraces
from adapters.tracking.memory import MemoryTracking
from adapters.training.memory import MemoryTraining
from adapters.vcs.memory import MemoryVcs
from adapters.workflow.base import WorkflowPort
from adapters.workflow.inline import InlineWorkflow
from cycles.artifacts import Artifacts
from cycles.autonomy import AutonomyRecord
from cycles.context import ContextSource
from cycles.desk import Desk, Office
from cycles.engine import Engine
from cycles.ports import Judges
from cycles.rules import Rulebook
from cycles.shelf import Taping
from cycles.tape import witness
from cycles.verify import Evidence
from domain.alert import Alert
from domain.candidate import LiveState
from domain.clock import Clock, FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.events import Event, Observer
from domain.people import People
from domain.permit import PermitOffice
from policies.packaged import packaged_policy_files
from policies.pdp import load_decision_point
from policies.profiles import Profile
from service.consents import consent_of
from service.sections import RetentionConfig
from service.toolbox import Ports, toolbox
from tests.support.cluster import clustered
from tests.support.jobs import TRAIN, bundle_of, digest_of, ranked, sandboxed, train
from tests.support.judges import ScriptedJudges
from tests.support.people import PEOPLE
from tests.support.setting import (
    FAULTS,
    JOBS,
    MODEL,
    VALUES,
    Say,
    alert_of,
    contract,
    profile,
    register,
    sealed_rows,
    signal_reader,
)
from tests.support.surroundings import surrounded
from tests.support.world import BAD, HEALTHY, Fault, World, WorldMetrics, documents, judgements
from tools.gate import Decider, Gate
from tools.purse import purse_of


@dataclass
class Rig:
    """An office with its ports in the open."""

    ports: Ports
    store: StorePort
    audit: AuditPort
    permits: PermitOffice
    clock: Clock
    profile: Profile
    gate: Gate
    office: Office
    engine: Engine
    judges: Judges
    world: World
    workflow: WorkflowPort
    events: list[Event] = field(default_factory=list)

    def open(self, alert: Alert) -> Cycle:
        """Open a cycle for the alert."""
        cycle, _ = self.store.open_cycle(alert, self.clock.now())
        return cycle

    def desk(self, cycle: Cycle) -> Desk:
        """Return the desk of a cycle."""
        return Desk(self.office, cycle)

    def now(self, cycle_id: str) -> Cycle:
        """Return the cycle as it is kept."""
        cycle = self.store.cycle(cycle_id)
        assert cycle is not None
        return cycle

    def evidence(self) -> Evidence:
        """Return what `verify` reads."""
        ports = self.ports
        return Evidence(
            self.store,
            self.audit,
            self.office.artifacts,
            ports.tracking,
            ports.datasets,
            ports.vcs,
            ports.delivery,
            MODEL,
        )


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
    """Wire an office as the service does, with judges that come to `action`."""
    of = of or profile()
    rules = contract(of)
    reader = signal_reader(ports.metrics, of, rules, clock)
    registry = toolbox(
        ports,
        reader,
        of,
        JOBS,
        clock,
        model=MODEL,
        bundles=folder / "bundles",
        code_revision="c0de",
        retention=RetentionConfig(enabled=True, keep_days=30, keep_last=1),
        permits=permits,
    )
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)

    traces = traces or MemoryTraces(clock)
    files = packaged_policy_files()
    decider = pdp or load_decision_point(files)
    consent = consent_of(
        approvals or MemoryApprovals(),
        people=people if people is not None else PEOPLE,
        profile=of,
        pdp=decider,
        audit=audit,
        store=store,
        clock=clock,
        observer=observer or note,
        accounts=accounts,
    )
    record = AutonomyRecord(autonomy or MemoryAutonomy(), audit, clock, of.autonomy)
    purse = purse_of(ledger or MemoryLedger(clock), of, clock, observer or note)
    gate = Gate(
        registry=registry,
        pdp=decider,
        audit=audit,
        store=store,
        office=permits,
        traces=traces,
        context=ContextSource(store, clock, of, rules, purse, record.level_of),
        approvals=consent,
        budget=purse,
        clock=clock,
        observer=observer or note,
        witness=witness,
    )
    judges = ScriptedJudges(gate, action, say)
    office = Office(
        gate=gate,
        judges=judges,
        store=store,
        audit=audit,
        retrieval=ports.retrieval,
        traces=traces,
        artifacts=Artifacts(folder / "artifacts"),
        clock=clock,
        profile=of,
        contract=rules,
        observer=observer or note,
        rulebook=Rulebook(MemoryRules(), rules, audit, clock, environment=of.name, observer=observer or note),
        consent=consent,
        autonomy=record,
        purse=purse,
        taping=Taping(policy_files=lambda _: files),
    )
    engine = Engine(office, workflow)
    return Rig(ports, store, audit, permits, clock, of, gate, office, engine, judges, world, workflow, events)


class LivePlatform(MemoryPlatform):
    """A platform in memory that serves what the world says."""

    def __init__(self, world: World, permits: PermitOffice, **rows: Any) -> None:
        super().__init__(permits=permits, state=LiveState(digest="", revision=""), **rows)
        self._world = world

    def live(self) -> LiveState:
        """See `PlatformPort.live`."""
        return self._world.live()


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
    fault = FAULTS.get(action, Fault.SHIFT)
    permits = permits or PermitOffice(clock)
    tracking = MemoryTracking(permits, digest_of, clock)
    good = register(tracking, permits, bundle_of(folder / "good", "good", 0.6), "good", clock.now().isoformat())
    vcs = MemoryVcs(text=VALUES.format(version="1", digest=good), permits=permits, clock=clock)
    skills = {good: HEALTHY}
    clock.advance(timedelta(minutes=10))
    if fault is Fault.BAD_RELEASE:
        bad = register(tracking, permits, bundle_of(folder / "bad", "bad", 0.3), "bad", clock.now().isoformat())
        skills[bad] = BAD
        vcs.push_from_outside(VALUES.format(version="2", digest=bad), "a new model")
    clock.advance(timedelta(seconds=40))
    world = World(clock=clock, fault=fault, alert_at=clock.now(), values=vcs.read, head=vcs.head, skills=skills)
    if fault is Fault.LATENCY:
        world.override, world.overridden_at = "exhaustive", vcs.head()
    rows = {
        "documents": documents(clock.now(), shifted=fault is Fault.SHIFT),
        "judgements": judgements(clock.now(), shifted=fault is Fault.SHIFT, damaged=fault is Fault.LABELS),
    }
    platform = LivePlatform(world, permits, **rows)
    world.quarantined = lambda: bool(platform._spans)
    ports = Ports(
        metrics=WorldMetrics(world),
        platform=platform,
        logs=PlatformLogs(platform),
        tracking=tracking,
        datasets=MemoryDatasets(permits),
        vcs=vcs,
        delivery=LocalDelivery(source=world, clock=clock),
        training=MemoryTraining(entries={TRAIN: train}, folder=folder / "training", permits=permits, clock=clock),
        evaluation=MemoryEvaluation(
            rows=sealed_rows(),
            rank=lambda bundle, query: Ranked(ranked(bundle, query), 2.0),
            permits=permits,
            clock=clock,
            digest_of=digest_of,
            prices=Prices(0.0001, 0.1),
        ),
        sandbox=MemorySandbox(sandboxed),
        notify=MemoryNotify(permits),
        silences=MemorySilences(permits, clock) if announces else NoSilences(permits),
        annotations=MemoryAnnotations(permits) if announces else NoAnnotations(permits),
        retrieval=MemoryRetrieval(),
        store=store or MemoryStore(),
    )
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
