"""The office of one executor of the scale bench: the real door, policies, audit, store, inbox, workflows; sites apart.

Everything shared is in one PostgreSQL. What a tuning cycle never asks is there in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from adapters.annotations.none import NoAnnotations
from adapters.approvals.sqlalchemy import SqlApprovals
from adapters.audit.postgresql import PostgresAudit
from adapters.autonomy.sqlalchemy import SqlAutonomy
from adapters.database import Database
from adapters.datasets.memory import MemoryDatasets
from adapters.delivery.local import LocalDelivery
from adapters.evaluation.measure import Prices, Ranked
from adapters.evaluation.memory import MemoryEvaluation
from adapters.inbox.sqlalchemy import SqlInbox
from adapters.ledger.sqlalchemy import SqlLedger
from adapters.logs.platform import PlatformLogs
from adapters.platform.base import PlatformPort
from adapters.retrieval.memory import MemoryRetrieval
from adapters.sandbox.memory import MemorySandbox
from adapters.silences.none import NoSilences
from adapters.store.sqlalchemy import SqlStore
from adapters.traces.none import NoTraces
from adapters.tracking.memory import MemoryTracking
from adapters.training.memory import MemoryTraining
from adapters.vcs.base import VcsPort
from adapters.workflow.dbos import DbosWorkflow
from cycles.artifacts import Artifacts
from cycles.autonomy import AutonomyRecord
from cycles.context import ContextSource
from cycles.desk import Office
from cycles.engine import Engine
from cycles.tape import witness
from domain.candidate import LiveState
from domain.clock import Clock, SystemClock
from domain.errors import EvercrewError
from domain.people import People
from domain.permit import PermitOffice
from evals.scale_judges import TuningJudges
from evals.scale_world import CATALOG, DIGEST, RowNotify, SiteMetrics, SitePlatform, Sites
from policies.contract import Contract, load_contract
from policies.packaged import packaged_contract, packaged_policy_files, packaged_profile
from policies.pdp import load_decision_point
from policies.profiles import Profile, load_profile
from service.consents import consent_of
from service.executor import Executor, executor_of, fence
from service.sections import JobsConfig
from service.toolbox import Ports, toolbox
from service.worker import Worker
from testbed.sites import SiteRows
from tools.gate import Gate
from tools.observe.reading import SignalReader, Windows, judge_of
from tools.purse import purse_of
from tools.registry import Registry

VERSION = "scale"
# Long enough that all cycles are in flight at once, and short enough for a bench.
TIMES: Mapping[str, Mapping[str, object]] = {
    "measure": {"current": "3s", "baseline": "6s", "gap": "3s", "confirm": "15s", "near": "60s"},
    "watch": {"window": "12s", "checks": 6, "interval": "2s", "min_samples": 30, "baseline_checks": 6, "tolerance": 0},
}


@dataclass(frozen=True)
class Rig:
    """What an executor process runs."""

    worker: Worker
    executor: Executor
    workflow: DbosWorkflow
    audit: PostgresAudit
    database: Database


class SiteEngine(Engine):
    """An engine whose stages find the site of their cycle behind the ports."""

    sites: Sites
    store: SqlStore

    def advance(self, cycle_id: str, *, overrun: bool = False) -> dict[str, Any]:
        """See `Engine.advance`."""
        cycle = self.store.cycle(cycle_id)
        if cycle is None:
            return super().advance(cycle_id, overrun=overrun)
        with self.sites.at(cycle):
            return super().advance(cycle_id, overrun=overrun)


def profile() -> Profile:
    """The profile of a developer's machine, with the times of the bench and room for its cycles."""
    plain = load_profile(packaged_profile("dev"), file="dev").model_dump(mode="json")
    for section, changes in TIMES.items():
        plain[section] = {**plain[section], **changes}
    plain["max_cycles_per_day"] = 1_000_000
    plain["budget"] = {**plain["budget"], "period_usd": 1_000_000_000}
    return Profile.model_validate(plain)


@contextmanager
def office(url: str, name: str, folder: Path, *, slots: int, ttl: timedelta) -> Iterator[Rig]:
    """Join as an executor, run until the context ends, and leave in order."""
    with ExitStack() as closing:
        clock, last = SystemClock(), closing.enter_context(ExitStack())
        database = Database(url)
        closing.callback(database.close)
        executor = executor_of(url, database, name, clock, last, ttl=ttl)
        if executor is None:
            raise EvercrewError("the scale bench runs on PostgreSQL")
        audit = PostgresAudit(url, clock)
        closing.callback(audit.close)
        permits = PermitOffice(clock)
        fence(executor, database, permits, audit)
        rows = SiteRows(url, connections=slots)
        closing.callback(rows.close)
        workflow = DbosWorkflow(
            url,
            clock=clock,
            application_version=VERSION,
            executor_id=executor.lease.owner,
            slots=slots,
            grace=timedelta(seconds=3),
        )
        closing.callback(workflow.close)
        running = _engine(database, audit, permits, Sites(rows, permits, clock), rows, workflow, folder)
        running.launch()
        inbox = SqlInbox(database, clock)
        worker = Worker(running, inbox, workflow, executor, clock, every=timedelta(milliseconds=500))
        yield Rig(worker, executor, workflow, audit, database)


def _engine(
    database: Database,
    audit: PostgresAudit,
    permits: PermitOffice,
    sites: Sites,
    rows: SiteRows,
    workflow: DbosWorkflow,
    folder: Path,
) -> SiteEngine:
    clock, of = SystemClock(), profile()
    rules = load_contract(packaged_contract()).with_overrides(of.signals)
    store, pdp = SqlStore(database), load_decision_point(packaged_policy_files())
    ports = _ports(sites, rows, permits, clock, store, folder)
    purse = purse_of(SqlLedger(database, clock), of, clock)
    consent = consent_of(
        SqlApprovals(database), people=People({}), profile=of, pdp=pdp, audit=audit, store=store, clock=clock
    )
    earned = AutonomyRecord(SqlAutonomy(database), audit, clock, of.autonomy)
    gate = Gate(
        registry=_tools(ports, of, rules, permits, folder),
        pdp=pdp,
        audit=audit,
        store=store,
        office=permits,
        traces=NoTraces(),
        context=ContextSource(store, clock, of, rules, purse, earned.level_of),
        approvals=consent,
        budget=purse,
        witness=witness,
    )
    wired = Office(
        gate=gate,
        judges=TuningJudges(gate),
        store=store,
        audit=audit,
        retrieval=ports.retrieval,
        traces=NoTraces(),
        artifacts=Artifacts(folder / "artifacts"),
        clock=clock,
        profile=of,
        contract=rules,
        observer=lambda _event: None,
        consent=consent,
        autonomy=earned,
        purse=purse,
    )
    running = SiteEngine(wired, workflow)
    running.sites, running.store = sites, store
    return running


def _tools(ports: Ports, of: Profile, rules: Contract, permits: PermitOffice, folder: Path) -> Registry:
    clock = SystemClock()
    windows = Windows(of.measure.current, of.measure.baseline, of.measure.gap)
    reader = SignalReader(ports.metrics, CATALOG, windows, judge_of(lambda: rules), clock)
    return toolbox(
        ports,
        reader,
        of,
        JobsConfig(),
        clock,
        model="reranker",
        bundles=folder / "bundles",
        code_revision="bench",
        permits=permits,
    )


def _ports(sites: Sites, rows: SiteRows, permits: PermitOffice, clock: Clock, store: SqlStore, folder: Path) -> Ports:
    platform = SitePlatform(permits=permits, state=LiveState(digest=DIGEST, revision=""))
    return Ports(
        metrics=SiteMetrics(clock),
        platform=cast(PlatformPort, platform),
        logs=PlatformLogs(platform),
        tracking=MemoryTracking(permits, lambda _bundle: DIGEST, clock),
        datasets=MemoryDatasets(permits),
        vcs=cast(VcsPort, sites),
        delivery=LocalDelivery(source=platform, clock=clock),
        training=MemoryTraining(entries={}, folder=folder / "training", permits=permits, clock=clock),
        evaluation=MemoryEvaluation(
            rows=[],
            rank=lambda _bundle, _query: Ranked([], 0.0),
            permits=permits,
            clock=clock,
            digest_of=lambda _bundle: DIGEST,
            prices=Prices(0.0, 0.0),
        ),
        sandbox=MemorySandbox(lambda _entry, _request: {}),
        notify=RowNotify(rows, permits),
        silences=NoSilences(permits),
        annotations=NoAnnotations(permits),
        retrieval=MemoryRetrieval(),
        store=store,
    )
