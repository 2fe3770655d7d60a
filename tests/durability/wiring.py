"""A real office in a folder: git, DVC, MLflow, SQLite, worker processes and DBOS.

Only the platform itself is simulated.

Time runs fifty times as fast as outside, from an origin that is kept in the folder, so that a cycle of half a minute
takes half a second and two processes agree on the time.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from adapters.annotations.none import NoAnnotations
from adapters.approvals.sqlalchemy import SqlApprovals
from adapters.audit.base import AuditPort
from adapters.audit.postgresql import PostgresAudit
from adapters.autonomy.sqlalchemy import SqlAutonomy
from adapters.database import Database
from adapters.datasets.dvc import DvcDatasets
from adapters.delivery.local import LocalDelivery
from adapters.evaluation.measure import Prices
from adapters.evaluation.process import ProcessEvaluation
from adapters.logs.platform import PlatformLogs
from adapters.notify.log import LogNotify
from adapters.platform.base import EFFECT_QUARANTINE, JudgementRow
from adapters.platform.memory import MemoryPlatform
from adapters.retrieval.memory import MemoryRetrieval
from adapters.sandbox.memory import MemorySandbox
from adapters.silences.none import NoSilences
from adapters.tracking.mlflow import MlflowTracking
from adapters.training.worker import WorkerTraining
from adapters.vcs.git import GitVcs
from adapters.worker import Worker
from adapters.workflow.dbos import DbosWorkflow
from domain.candidate import LiveState
from domain.clock import Clock, SystemClock
from domain.diagnosis import Action
from domain.events import Observer
from domain.observation import Observation
from domain.permit import Permit, PermitOffice
from evals.simulated import BAD, DEGRADED, HEALTHY, IMPROVED, Fault, World, WorldMetrics
from evals.simulated_jobs import SCORE, bundle_of, digest_of, sandboxed
from evals.simulated_rows import VALUES, documents, judgements, register, sealed_rows
from service.toolbox import Ports
from tests.durability.ledger import MortalLedger
from tests.durability.mortal import Mortal, MortalAudit, MortalStore, Reaper
from tests.support.office import Rig, assemble
from tests.support.setting import FAULTS, profile
from tools.gate import Decider

SPEED = 50
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
# Where an adapter's own work can be cut in two.
MIDDLES: Mapping[str, tuple[str, ...]] = {
    "datasets": ("_store", "_tagged", "_repository.check_pointer"),
    "vcs": ("branch.commit_tree",),
    "tracking": ("_fill", "_ensure_model"),
    "evaluation": ("_look",),
}


class FastClock:
    """Counts fifty seconds a second from `origin`."""

    def __init__(self, origin: datetime) -> None:
        self._origin = origin
        self._system = SystemClock()

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._origin + SPEED * (self._system.now() - self._origin)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return SPEED * self._system.monotonic()

    def sleep(self, duration: timedelta) -> None:
        """See `Clock.sleep`."""
        self._system.sleep(duration / SPEED)


class FilePlatform(MemoryPlatform):
    """The simulated platform; its quarantines are kept in a file, one line each time one is made."""

    def __init__(
        self, world: World, permits: PermitOffice, file: Path, rows: Sequence[JudgementRow], **more: Any
    ) -> None:
        super().__init__(permits=permits, state=LiveState(digest="", revision=""), judgements=rows, **more)
        self._world = world
        self._file = file

    def live(self) -> LiveState:
        """See `PlatformPort.live`."""
        return self._world.live()

    def lines(self) -> list[dict[str, Any]]:
        """Return the quarantines made."""
        return [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.exists() else []

    def documents_as_rows(self) -> Iterable[Mapping[str, Any]]:
        """Return the documents as the evaluation wants them."""
        return [{"id": d.id, "title": d.title, "text": d.text, "subject": d.subject} for d in self.documents()]

    def quarantine(self, *, since: datetime, until: datetime | None, rule: str, key: str, permit: Permit | None) -> int:
        """See `PlatformPort.quarantine`."""
        self._permits.spend(permit, effect=EFFECT_QUARANTINE, key=key)
        if all(line["key"] != key for line in self.lines()):
            with self._file.open("a") as out:
                out.write(json.dumps({"key": key, "since": since.isoformat()}) + "\n")
                out.flush()
                os.fsync(out.fileno())
        return len(self.all_judgements) // 2

    def observe(self, key: str) -> Observation:
        """See `PlatformPort.observe`."""
        if all(line["key"] != key for line in self.lines()):
            return Observation.absent("no such quarantine")
        return Observation.done({"quarantined": len(self.all_judgements) // 2})

    def judgements(
        self, since: datetime | None = None, until: datetime | None = None, limit: int = 20_000
    ) -> Sequence[JudgementRow]:
        """See `PlatformPort.judgements`."""
        rows = super().judgements(since, until, limit)
        starts = [datetime.fromisoformat(line["since"]) for line in self.lines()]
        return [row for row in rows if row.doc_id in row.shown or not any(row.ts >= start for start in starts)]


def git(*arguments: str, at: datetime) -> str:
    """Run git with a date and return its output."""
    who = {f"GIT_{role}_{field}": "somebody" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
    dates = {f"GIT_{role}_DATE": f"{int(at.timestamp())} +0000" for role in ("AUTHOR", "COMMITTER")}
    settings = {"PATH": SEARCH_PATH, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True, env={**settings, **who, **dates}
    ).stdout


class ValuesRepository:
    """What the platform reads of the bare repository: its head and the values there."""

    def __init__(self, remote: Path) -> None:
        self._remote = remote

    def head(self) -> str:
        """Return the revision of the branch."""
        return (self._remote / "refs" / "heads" / "main").read_text().strip()

    def values(self) -> str:
        """Return the values at the head."""
        return _values(str(self._remote), self.head())


@lru_cache(maxsize=64)
def _values(remote: str, revision: str) -> str:
    return git("--git-dir", remote, "show", f"{revision}:values.yaml", at=datetime.fromtimestamp(0, UTC))


class Setup(BaseModel):
    """What stays the same when the process dies."""

    origin: datetime
    skills: dict[str, float]
    first: str


PATHS: Mapping[str, Action] = {
    "retrain": Action.RETRAIN,
    "failed test": Action.RETRAIN,
    "worse model": Action.RETRAIN,
    "rollback": Action.ROLLBACK,
    "data fix": Action.DATA_FIX,
    "tuning": Action.TUNE,
}


def make_template(folder: Path) -> None:
    """Make what takes long and is the same for every test.

    Databases with their tables, and a first model in the registry.
    """
    permits = PermitOffice(SystemClock())
    register(_tracking(folder, permits), permits, bundle_of(folder / "good", "good", 0.6), "good", _past(2))
    MortalStore(f"sqlite:///{folder}/store.db").close()
    workflow = _workflow(f"sqlite:///{folder}/workflows.db", SystemClock())
    workflow.launch(lambda run, identity: {})
    workflow.close()


def prepare(folder: Path, path: str) -> None:
    """Finish a copy of the template for one test.

    Values in git, and for a rollback a worse model that was just released.
    """
    origin = SystemClock().now()
    good = digest_of(folder / "good")
    skills = {good: HEALTHY}
    remote = folder / "values.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(remote), at=origin)
    _push(remote, VALUES.format(version="1", digest=good), origin - timedelta(minutes=10))
    if FAULTS[PATHS[path]] is Fault.BAD_RELEASE:
        permits = PermitOffice(SystemClock())
        bad = register(_tracking(folder, permits), permits, bundle_of(folder / "bad", "bad", 0.3), "bad", _past(1))
        skills[bad] = BAD
        _push(remote, VALUES.format(version="2", digest=bad), origin - timedelta(seconds=40))
    rows = "".join(row.model_dump_json() + "\n" for row in sealed_rows())
    (folder / "sealed.jsonl").write_text(rows)
    setup = Setup(origin=origin, skills=skills, first=ValuesRepository(remote).head())
    (folder / "setup.json").write_text(setup.model_dump_json())


def _same(ports: Ports, world: World, permits: PermitOffice) -> Ports:
    return ports


@dataclass(frozen=True)
class Instead:
    """What a test puts in place of the usual parts; `ports` may hand over others, `{folder}` stands for the folder."""

    ports: Callable[[Ports, World, PermitOffice], Ports] = _same
    store: str = "sqlite:///{folder}/store.db"
    workflow: str = "sqlite:///{folder}/workflows.db"
    served: str = "values.git"
    audit: str = ""
    busy: timedelta = timedelta(seconds=10)
    wrap: Callable[[AuditPort], Any] = lambda audit: audit
    pdp: Decider | None = None
    observer: Observer | None = None
    profile: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def build(folder: Path, path: str, point: str = "", instead: Instead | None = None) -> Rig:
    """Wire the office of a test's folder, to die at `point`."""
    given = instead or Instead()
    setup = Setup.model_validate_json((folder / "setup.json").read_text())
    action, clock, system, reaper = PATHS[path], FastClock(setup.origin), SystemClock(), Reaper(point)
    permits = PermitOffice(system)
    repository = ValuesRepository(folder / given.served)
    fault = FAULTS[action]
    world = World(
        clock=clock,
        fault=fault,
        alert_at=setup.origin,
        values=repository.values,
        head=repository.head,
        skills=setup.skills,
        candidate=DEGRADED * 0.9 if path == "failed test" else IMPROVED,
        after_promotion=0.3 if path == "worse model" else None,
    )
    if fault is Fault.LATENCY:
        world.override, world.overridden_at = "exhaustive", setup.first
    platform = FilePlatform(
        world,
        permits,
        folder / "quarantines.jsonl",
        judgements(setup.origin, shifted=fault is Fault.SHIFT, damaged=fault is Fault.LABELS),
        documents=documents(setup.origin, shifted=fault is Fault.SHIFT),
    )
    world.quarantined = lambda: bool(platform.lines())
    database = Database(given.store.format(folder=folder), busy=given.busy)
    store = MortalStore(database)
    store.reaper = reaper
    return assemble(
        given.ports(_ports(folder, world, platform, store, permits, reaper), world, permits),
        store=store,
        audit=given.wrap(_audit(folder, given, reaper)),
        permits=permits,
        clock=clock,
        world=world,
        workflow=_workflow(given.workflow.format(folder=folder), clock),
        folder=folder,
        action=action,
        pdp=given.pdp,
        observer=given.observer,
        approvals=SqlApprovals(database),
        autonomy=SqlAutonomy(database),
        ledger=MortalLedger(database, system, reaper),
        of=profile("dev", **{"poll": {"delivery": "1s", "delivery_timeout": "1h"}, **given.profile}),
    )


def _audit(folder: Path, given: Instead, reaper: Reaper) -> AuditPort:
    if given.audit:
        return PostgresAudit(given.audit, SystemClock())
    audit = MortalAudit(folder / "audit.db", SystemClock(), busy=given.busy)
    audit.reaper = reaper
    return audit


def _ports(
    folder: Path, world: World, platform: FilePlatform, store: MortalStore, permits: PermitOffice, reaper: Reaper
) -> Ports:
    system = SystemClock()
    trainer = _worker()
    (folder / "dvc-remote").mkdir(exist_ok=True)
    adapters = {
        "datasets": DvcDatasets(
            folder=folder / "datasets", remote=str(folder / "dvc-remote"), permits=permits, clock=system
        ),
        "vcs": GitVcs(
            remote=str(folder / "values.git"),
            branch="main",
            path="values.yaml",
            folder=folder / "clone",
            permits=permits,
            clock=world.clock,
        ),
        "tracking": _tracking(folder, permits),
        "training": WorkerTraining(folder=folder / "training", worker=trainer, permits=permits, clock=system),
        "evaluation": ProcessEvaluation(
            entry=SCORE,
            sealed=folder / "sealed.jsonl",
            documents=platform.documents_as_rows,
            folder=folder / "evaluation",
            worker=_worker(quiet=True),
            permits=permits,
            clock=system,
            digest_of=digest_of,
            prices=Prices(0.0001, 0.1),
        ),
        "notify": LogNotify(folder / "messages.jsonl", system, permits),
        "platform": platform,
    }
    reaper.hook(trainer, "run")
    for name, methods in MIDDLES.items():
        for method in methods:
            reaper.hook(adapters[name], method)
    mortal: dict[str, Any] = {name: Mortal(adapter, reaper) for name, adapter in adapters.items()}
    return Ports(
        metrics=WorldMetrics(world),
        logs=PlatformLogs(platform),
        delivery=LocalDelivery(source=world, clock=world.clock),
        sandbox=MemorySandbox(sandboxed),
        retrieval=MemoryRetrieval(),
        silences=NoSilences(permits),
        annotations=NoAnnotations(permits),
        store=store,
        **mortal,
    )


def _tracking(folder: Path, permits: PermitOffice) -> MlflowTracking:
    return MlflowTracking(
        uri=f"sqlite:///{folder}/mlflow.db",
        experiment="reranker",
        permits=permits,
        digest_of=digest_of,
        artifacts=(folder / "files").as_uri(),
    )


def _workflow(url: str, clock: Clock) -> DbosWorkflow:
    return DbosWorkflow(url, clock=clock, application_version="1", slice_=timedelta(seconds=10))


def _worker(*, quiet: bool = False) -> Worker:
    environment = {"PATH": SEARCH_PATH, "OMP_NUM_THREADS": "1"}
    return Worker(name="worker", environment=environment, clock=SystemClock(), quiet=quiet)


def _past(days: int) -> str:
    return (SystemClock().now() - timedelta(days=days)).isoformat()


def _push(remote: Path, text: str, at: datetime) -> None:
    work = remote.parent / "somebody"
    if not work.exists():
        git("clone", "--quiet", str(remote), str(work), at=at)
        git("-C", str(work), "checkout", "--quiet", "-B", "main", at=at)
    (work / "values.yaml").write_text(text)
    git("-C", str(work), "add", "--all", at=at)
    git("-C", str(work), "commit", "--quiet", "-m", "a release", at=at)
    git("-C", str(work), "push", "--quiet", "origin", "HEAD:refs/heads/main", at=at)
