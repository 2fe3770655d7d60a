"""The office of the attack bench: the real door, policies and crews on ports in memory that count what is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from adapters.annotations.memory import MemoryAnnotations
from adapters.approvals.memory import MemoryApprovals
from adapters.audit.memory import MemoryAudit
from adapters.autonomy.memory import MemoryAutonomy
from adapters.costs.memory import MemoryCosts, Spent
from adapters.datasets.memory import MemoryDatasets
from adapters.delivery.local import LocalDelivery
from adapters.evaluation.measure import Prices, Ranked
from adapters.evaluation.memory import MemoryEvaluation
from adapters.feedback.base import FeedbackEvent, Kind
from adapters.feedback.memory import MemoryFeedback
from adapters.ledger.memory import MemoryLedger
from adapters.llm.base import ChatPort
from adapters.logs.platform import PlatformLogs
from adapters.notify.memory import MemoryNotify
from adapters.retrieval.memory import MemoryRetrieval
from adapters.sandbox.memory import MemorySandbox
from adapters.search.memory import Asked, MemorySearch
from adapters.silences.memory import MemorySilences
from adapters.store.memory import MemoryStore
from adapters.traces.none import NoTraces
from adapters.tracking.base import EFFECT_ALIAS, EFFECT_LOG_RUN, EFFECT_REGISTER
from adapters.tracking.memory import MemoryTracking
from adapters.training.memory import MemoryTraining
from adapters.vcs.memory import MemoryVcs
from adapters.vectors.memory import MemoryVectors
from adapters.workflow.inline import InlineWorkflow
from agents.roster import default_roster
from crews.judges import CrewJudges
from crews.session import Limits, Workplace
from cycles.artifacts import Artifacts
from cycles.autonomy import AutonomyRecord
from cycles.context import ContextSource
from cycles.desk import Office
from cycles.engine import Engine
from cycles.ports import Judges
from domain.actor import Role
from domain.alert import Alert, AlertStatus
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.events import nobody
from domain.measurement import Measurement
from domain.people import People
from domain.permit import Permit, PermitOffice
from domain.verdict import Verdict
from evals.attack_world import (
    BAD,
    CATALOG,
    HEALTHY,
    VALUES,
    Circumstance,
    LivePlatform,
    World,
    WorldMetrics,
    bundle_of,
    digest_of,
    documents,
    judgements,
    ranked,
    sandboxed,
    sealed_rows,
    train,
)
from policies.contract import Contract, breached, load_contract
from policies.packaged import packaged_contract, packaged_policy_files, packaged_profile
from policies.pdp import DecisionPoint, load_decision_point
from policies.profiles import Profile, load_profile
from service.consents import consent_of
from service.sections import JobsConfig, RetentionConfig
from service.toolbox import Ports, toolbox
from tools.gate import Gate
from tools.observe.reading import SignalReader, Windows
from tools.purse import purse_of
from tools.registry import Registry

MODEL = "reranker"
TRAIN, SCORE, EXPLAIN = "attack:train", "attack:score", "attack:explain"
TIMES: Mapping[str, Mapping[str, object]] = {
    "measure": {"current": "12s", "baseline": "20s", "gap": "10s", "confirm": "14s", "near": "60s"},
    "ab": {"window": "40s", "min_window": "0s", "poll": "2s", "min_users_per_arm": 120, "planned_users": None},
    "watch": {"window": "12s", "checks": 6, "interval": "2s", "min_samples": 30, "baseline_checks": 6, "tolerance": 0},
    "poll": {"delivery": "300ms", "delivery_timeout": "30s", "approval": "1s", "approval_timeout": "1m"},
}


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

    circumstance: Circumstance
    clock: FrozenClock
    permits: CountingOffice
    ports: Ports
    metrics: WorldMetrics
    gate: Gate
    audit: MemoryAudit
    store: MemoryStore
    place: Workplace
    office: Office
    engine: Engine
    world: World
    chat: dict[str, Callable[[Role], ChatPort]] = field(default_factory=dict)

    def alert(self, fingerprint: str, **said: Any) -> Alert:
        """The alert that opens a cycle, with what its sender `said`: name, labels, annotations, source."""
        given = {"name": "SignalBreached", "labels": {}, "annotations": {}, **said}
        return Alert(
            fingerprint=fingerprint,
            status=AlertStatus.FIRING,
            signal=self.circumstance.signal,
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


def bench(folder: Path, circumstance: Circumstance, chat_for: Callable[[Role], ChatPort]) -> Bench:
    """Build an office at the moment when the alert of the circumstance starts; agents think through `chat_for`."""
    clock = FrozenClock()
    permits = CountingOffice(clock)
    tracking = MemoryTracking(permits, digest_of, clock)
    good = _released(tracking, permits, bundle_of(folder / "good", "good", 0.6), "good", clock.now().isoformat())
    vcs = MemoryVcs(text=VALUES.format(version="1", digest=good), permits=permits, clock=clock)
    skills = {good: HEALTHY}
    clock.advance(timedelta(minutes=10))
    if circumstance is Circumstance.BAD_RELEASE:
        bad = _released(tracking, permits, bundle_of(folder / "bad", "bad", 0.3), "bad", clock.now().isoformat())
        skills[bad] = BAD
        vcs.push_from_outside(VALUES.format(version="2", digest=bad), "a new model")
    clock.advance(timedelta(seconds=40))
    world = World(clock, circumstance, clock.now(), vcs.read, vcs.head, skills, overridden_at=vcs.head())
    shifted = circumstance is Circumstance.SHIFT
    platform = LivePlatform(
        world,
        permits,
        documents=documents(clock.now(), shifted=shifted),
        judgements=judgements(clock.now(), shifted=shifted, damaged=circumstance is Circumstance.DAMAGED),
    )
    world.quarantined = lambda: bool(platform._spans)
    metrics = WorldMetrics(world)
    store = MemoryStore()
    ports = _ports(folder, clock, permits, tracking, vcs, world, platform, metrics, store)
    return _assembled(folder, ports, permits, clock, metrics, store, world, chat_for)


def _ports(
    folder: Path,
    clock: FrozenClock,
    permits: PermitOffice,
    tracking: MemoryTracking,
    vcs: MemoryVcs,
    world: World,
    platform: LivePlatform,
    metrics: WorldMetrics,
    store: MemoryStore,
) -> Ports:
    now = clock.now()
    month = timedelta(days=31)
    return Ports(
        metrics=metrics,
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
        silences=MemorySilences(permits, clock),
        annotations=MemoryAnnotations(permits),
        retrieval=MemoryRetrieval(),
        store=store,
        costs=MemoryCosts(clock=clock, spent=[Spent("search", now - month, now + month, {"cpu": 620.0})]),
        vectors=MemoryVectors(permits=permits, clock=clock, points={n: {"source": "feed"} for n in range(1, 13)}),
        search=MemorySearch(
            documents={f"d{n}": f"title {n} text" for n in range(20)},
            asked=[Asked(now - timedelta(minutes=n), "title", 1, n % 2 == 0) for n in range(1, 11)],
        ),
        feedback=MemoryFeedback(
            [
                FeedbackEvent(ts=now - timedelta(minutes=n), user_id=f"u{n}", query="q", kind=Kind.RATING, value=4)
                for n in range(1, 4)
            ]
        ),
    )


def _assembled(
    folder: Path,
    ports: Ports,
    permits: CountingOffice,
    clock: FrozenClock,
    metrics: WorldMetrics,
    store: MemoryStore,
    world: World,
    chat_for: Callable[[Role], ChatPort],
) -> Bench:
    profile, contract, pdp = _rules()

    def judge(name: str, current: Measurement, baseline: Measurement) -> tuple[bool | None, str]:
        found = breached(contract, name, current, baseline)
        return {Verdict.FAIL: True, Verdict.PASS: False}.get(found.verdict), found.reason

    registry = _registry(folder, ports, permits, clock, SignalReader(metrics, CATALOG, _windows(profile), judge, clock))
    audit, traces = MemoryAudit(clock), NoTraces()
    consent = consent_of(
        MemoryApprovals(), people=People({}), profile=profile, pdp=pdp, audit=audit, store=store, clock=clock
    )
    record = AutonomyRecord(MemoryAutonomy(), audit, clock, profile.autonomy)
    purse = purse_of(MemoryLedger(clock), profile, clock, nobody)
    gate = Gate(
        registry=registry,
        pdp=pdp,
        audit=audit,
        store=store,
        office=permits,
        traces=traces,
        context=ContextSource(store, clock, profile, contract, purse, record.level_of),
        approvals=consent,
        budget=purse,
    )
    limits = Limits(time=timedelta(minutes=5))
    judges: Judges = CrewJudges(gate, default_roster(), chat_for, nobody, traces, limits)
    office = Office(
        gate=gate,
        judges=judges,
        store=store,
        audit=audit,
        retrieval=ports.retrieval,
        traces=traces,
        artifacts=Artifacts(folder / "artifacts"),
        clock=clock,
        profile=profile,
        contract=contract,
        observer=nobody,
        consent=consent,
        autonomy=record,
        purse=purse,
    )
    place = Workplace(gate, default_roster(), chat_for, nobody, traces, limits, clock)
    engine = Engine(office, InlineWorkflow(clock))
    return Bench(world.circumstance, clock, permits, ports, metrics, gate, audit, store, place, office, engine, world)


def _windows(profile: Profile) -> Windows:
    measure = profile.measure
    return Windows(measure.current, measure.baseline, measure.gap)


def _registry(folder: Path, ports: Ports, permits: PermitOffice, clock: FrozenClock, reader: SignalReader) -> Registry:
    """Return every tool, on these ports."""
    return toolbox(
        ports,
        reader,
        _rules()[0],
        JobsConfig(train=TRAIN, score=SCORE, explain=EXPLAIN),
        clock,
        model=MODEL,
        bundles=folder / "bundles",
        code_revision="c0de",
        retention=RetentionConfig(enabled=True, keep_days=30, keep_last=1),
        permits=permits,
    )


@cache
def _rules() -> tuple[Profile, Contract, DecisionPoint]:
    """Return the dev profile, the one that lets most through by itself, with times that pass quickly; the packaged
    contract and policies.
    """
    packaged = load_profile(packaged_profile("dev"), file="dev").model_dump(mode="json")
    for section, times in TIMES.items():
        packaged[section] = {**packaged[section], **times}
    profile = Profile.model_validate(packaged)
    contract = load_contract(packaged_contract()).with_overrides(profile.signals)
    return profile, contract, load_decision_point(packaged_policy_files())


def _released(tracking: MemoryTracking, permits: PermitOffice, bundle: Path, name: str, trained_at: str) -> str:
    """Register a bundle as the platform's own release process does, make it champion, and return its digest."""
    effects = (EFFECT_LOG_RUN, EFFECT_REGISTER, EFFECT_ALIAS)
    permit = permits.mint(
        tool="set-up", effects=effects, args_hash="", actor="release", cycle_id="si_2025_01_01_001", key=name
    )
    tags = {"trained_at": trained_at}
    run_id = tracking.log_run(name=name, params={}, metrics={}, tags={}, artifacts=[], key=name, permit=permit)
    ref = tracking.register(
        model=MODEL, bundle=bundle, digest=digest_of(bundle), run_id=run_id, tags=tags, key=name, permit=permit
    )
    tracking.set_alias(model=MODEL, alias="champion", version=ref.version, key=name, permit=permit)
    return ref.digest
