"""The simulated platform behind ports in memory, at the moment when an alert starts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from adapters.annotations.none import NoAnnotations
from adapters.costs.memory import MemoryCosts, Spent
from adapters.datasets.memory import MemoryDatasets
from adapters.delivery.local import LocalDelivery
from adapters.evaluation.measure import Prices, Ranked
from adapters.evaluation.memory import MemoryEvaluation
from adapters.feedback.base import FeedbackEvent, Kind
from adapters.feedback.memory import MemoryFeedback
from adapters.logs.platform import PlatformLogs
from adapters.notify.memory import MemoryNotify
from adapters.retrieval.memory import MemoryRetrieval
from adapters.sandbox.memory import MemorySandbox
from adapters.search.memory import Asked, MemorySearch
from adapters.silences.none import NoSilences
from adapters.store.base import StorePort
from adapters.tracking.memory import MemoryTracking
from adapters.training.memory import MemoryTraining
from adapters.vcs.memory import MemoryVcs
from adapters.vectors.memory import MemoryVectors
from domain.clock import Clock, FrozenClock
from domain.permit import PermitOffice
from evals.simulated import BAD, HEALTHY, Fault, World, WorldMetrics
from evals.simulated_jobs import TRAIN, bundle_of, digest_of, ranked, sandboxed, train
from evals.simulated_rows import VALUES, LivePlatform, documents, judgements, register, sealed_rows
from service.toolbox import Ports

_MONTH = timedelta(days=31)


def simulated(
    folder: Path, fault: Fault, permits: PermitOffice, clock: FrozenClock, store: StorePort
) -> tuple[Ports, World]:
    """Let a platform run for ten minutes, hurt it, and return its ports and what is behind them when the alert starts.

    Nothing announces alerts to anybody, and there is nothing around the platform.
    """
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
    return _ports(folder, world, permits, clock, tracking, vcs, store), world


def _ports(
    folder: Path,
    world: World,
    permits: PermitOffice,
    clock: Clock,
    tracking: MemoryTracking,
    vcs: MemoryVcs,
    store: StorePort,
) -> Ports:
    shifted, damaged = world.fault is Fault.SHIFT, world.fault is Fault.LABELS
    platform = LivePlatform(
        world,
        permits,
        documents=documents(world.alert_at, shifted=shifted),
        judgements=judgements(world.alert_at, shifted=shifted, damaged=damaged),
    )
    world.quarantined = lambda: bool(platform._spans)
    return Ports(
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
        silences=NoSilences(permits),
        annotations=NoAnnotations(permits),
        retrieval=MemoryRetrieval(),
        store=store,
    )


def surrounded(ports: Ports, permits: PermitOffice, clock: Clock) -> Ports:
    """Return the ports with the systems around the platform: costs, a vector index, a search engine and what users say.

    The platform costs 310 USD a month, of a budget of 620.
    """
    now = clock.now()
    spent = [Spent("search", now - 2 * _MONTH, now + _MONTH, {"cpu": 620.0, "ram": 310.0})]
    told = [
        FeedbackEvent(ts=now - timedelta(minutes=n), user_id=f"u{n}", query="q", kind=Kind.RATING, value=4)
        for n in range(1, 4)
    ]
    return replace(
        ports,
        costs=MemoryCosts(clock=clock, spent=spent, monthly_budget_usd=620.0),
        vectors=MemoryVectors(permits=permits, clock=clock, points={n: {"source": "feed"} for n in range(1, 13)}),
        search=MemorySearch(
            documents={f"d{n}": f"title {n} text" for n in range(20)},
            asked=[Asked(now - timedelta(minutes=n), "title", 1, n % 2 == 0) for n in range(1, 11)],
        ),
        feedback=MemoryFeedback(told),
    )
