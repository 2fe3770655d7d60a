"""The wiring of one office, as the service does it, on whatever ports a bench or a test hands over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.accounts.base import AccountsPort
from adapters.approvals.base import ApprovalsPort
from adapters.audit.base import AuditPort
from adapters.autonomy.base import AutonomyPort
from adapters.ledger.base import LedgerPort
from adapters.metrics.base import MetricsPort
from adapters.rules.memory import MemoryRules
from adapters.store.base import StorePort
from adapters.traces.base import TracesPort
from adapters.workflow.base import WorkflowPort
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
from domain.clock import Clock
from domain.cycle import Cycle
from domain.events import Event, Observer
from domain.people import People
from domain.permit import PermitOffice
from evals.simulated import CATALOG, World
from evals.simulated_jobs import EXPLAIN, SCORE, TRAIN
from evals.simulated_rows import MODEL
from policies.contract import Contract, load_contract
from policies.packaged import packaged_contract, packaged_profile
from policies.profiles import Profile, load_profile
from service.consents import consent_of
from service.sections import JobsConfig, RetentionConfig
from service.toolbox import Ports, toolbox
from tools.gate import Decider, Gate
from tools.observe.reading import SignalReader, Windows, judge_of
from tools.purse import purse_of
from tools.registry import Registry

JOBS = JobsConfig(train=TRAIN, score=SCORE, explain=EXPLAIN)
# What benches and tests count on; the packaged numbers may be tuned without breaking them.
TIMES: Mapping[str, Mapping[str, object]] = {
    "measure": {"current": "12s", "baseline": "20s", "gap": "10s", "confirm": "14s", "near": "60s"},
    "ab": {"window": "40s", "min_window": "0s", "poll": "2s", "min_users_per_arm": 120, "planned_users": None},
    "watch": {"window": "12s", "checks": 6, "interval": "2s", "min_samples": 30, "baseline_checks": 6, "tolerance": 0},
    "poll": {"delivery": "300ms", "delivery_timeout": "30s", "approval": "1s", "approval_timeout": "10m"},
}


def profile(name: str = "dev", **changes: Mapping[str, object]) -> Profile:
    """Return a packaged profile with times that pass quickly, and `changes` by section."""
    packaged = load_profile(packaged_profile(name), file=name).model_dump(mode="json")
    for section in (*TIMES, *changes):
        packaged[section] = {**packaged[section], **TIMES.get(section, {}), **changes.get(section, {})}
    return Profile.model_validate(packaged)


def contract(of: Profile) -> Contract:
    """Return the packaged contract as the profile changes it."""
    return load_contract(packaged_contract()).with_overrides(of.signals)


def signal_reader(metrics: MetricsPort, of: Profile, rules: Contract, clock: Clock) -> SignalReader:
    """Return the reader of the simulated platform's signals."""
    windows = Windows(of.measure.current, of.measure.baseline, of.measure.gap)
    return SignalReader(metrics, CATALOG, windows, judge_of(lambda: rules), clock)


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


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What an office is wired from, beside its ports; `judges` are made once there is a door for them."""

    folder: Path
    clock: Clock
    permits: PermitOffice
    store: StorePort
    audit: AuditPort
    traces: TracesPort
    workflow: WorkflowPort
    profile: Profile
    contract: Contract
    pdp: Decider
    people: People
    judges: Callable[[Gate], Judges]
    observer: Observer
    approvals: ApprovalsPort
    autonomy: AutonomyPort
    ledger: LedgerPort
    accounts: AccountsPort | None = None
    taping: Taping = field(default_factory=Taping)


def assemble(ports: Ports, world: World, parts: Parts) -> Rig:
    """Wire an office as the service does."""
    of, clock, audit, store, observer = parts.profile, parts.clock, parts.audit, parts.store, parts.observer
    consent = consent_of(
        parts.approvals,
        people=parts.people,
        profile=of,
        pdp=parts.pdp,
        audit=audit,
        store=store,
        clock=clock,
        observer=observer,
        accounts=parts.accounts,
    )
    record = AutonomyRecord(parts.autonomy, audit, clock, of.autonomy)
    purse = purse_of(parts.ledger, of, clock, observer)
    gate = Gate(
        registry=_registry(ports, parts),
        pdp=parts.pdp,
        audit=audit,
        store=store,
        office=parts.permits,
        traces=parts.traces,
        context=ContextSource(store, clock, of, parts.contract, purse, record.level_of),
        approvals=consent,
        budget=purse,
        clock=clock,
        observer=observer,
        witness=witness,
    )
    judges = parts.judges(gate)
    office = Office(
        gate=gate,
        judges=judges,
        store=store,
        audit=audit,
        retrieval=ports.retrieval,
        traces=parts.traces,
        artifacts=Artifacts(parts.folder / "artifacts"),
        clock=clock,
        profile=of,
        contract=parts.contract,
        observer=observer,
        rulebook=Rulebook(MemoryRules(), parts.contract, audit, clock, environment=of.name, observer=observer),
        consent=consent,
        autonomy=record,
        purse=purse,
        taping=parts.taping,
    )
    engine, workflow = Engine(office, parts.workflow), parts.workflow
    return Rig(ports, store, audit, parts.permits, clock, of, gate, office, engine, judges, world, workflow)


def _registry(ports: Ports, parts: Parts) -> Registry:
    """Return every tool, on these ports."""
    return toolbox(
        ports,
        signal_reader(ports.metrics, parts.profile, parts.contract, parts.clock),
        parts.profile,
        JOBS,
        parts.clock,
        model=MODEL,
        bundles=parts.folder / "bundles",
        code_revision="c0de",
        retention=RetentionConfig(enabled=True, keep_days=30, keep_last=1),
        permits=parts.permits,
    )
