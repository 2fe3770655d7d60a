"""The demo: a real small search platform is hurt, and the crew is called by its own alert.

The fault is switched on from outside, by a process the crew knows nothing of; from there on everything happens by what
the platform shows: its metrics page, its logs, its repository, its judgements.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import yaml

from cycles.intake import take
from cycles.verify import Check, verify
from domain.clock import Clock, SystemClock
from domain.cycle import Cycle
from domain.errors import ConfigurationError, DependencyUnavailable, InvalidInput
from domain.events import Event
from service.config import load_config
from service.prometheus import Prometheus
from service.settings import Settings
from service.summary import AbFacts, DemoSummary, EffectFact, GateFact, LiveFacts, NdcgLevels, Seconds
from service.watcher import Watcher, alert_body
from service.wiring import App, build
from testbed.probe import measure_live
from testbed.world import World, bootstrap

FAULTS = (
    "corpus_shift",
    "bad_deploy",
    "label_corruption",
    "latency",
    "index_errors",
    "cost_spike",
    "noise",
    "none",
)
MARK = ".evercrew-demo"
TARGET = "search"
# Fresh questions with known answers, asked of the live service outside of its own figures.
PROBES = 300
PAGED = ("ndcg_at_10", "latency_p95_ms", "cost_per_1k_requests", "vector_index_errors")


@dataclass(frozen=True)
class DemoOptions:
    """What to show.

    `documents` None is the whole corpus, `rate` is in sessions a second, `profile` replaces the packaged one. Every
    `tick` the metrics page is read and the signals are looked at; `patience` is how long an alert is waited for.
    """

    fault: str = "corpus_shift"
    seed: int = 1
    out: Path = Path("artifacts/demo")
    documents: int | None = None
    collection: Path | None = None
    prometheus: bool = False
    rate: float = 120.0
    profile: Path | None = None
    probes: int = PROBES
    patience: timedelta = timedelta(seconds=45)
    tick: timedelta = timedelta(seconds=0.5)


class Show(Protocol):
    """Whoever shows the demo to people."""

    def __call__(self, event: Event) -> None: ...

    def signals(self, values: Mapping[str, float | None]) -> None: ...


PhaseObserver = Callable[[str, World], None]
"""Told of ``healthy``, ``degraded`` and ``final`` while the world is in it; the demo waits for its return."""


@dataclass
class Stage:
    """What the demo has found out so far."""

    healthy: float | None = None
    degraded: float | None = None
    final: float | None = None
    events: list[tuple[datetime, str]] = field(default_factory=list)
    cycle: Cycle | None = None
    checks: list[Check] = field(default_factory=list)


def run(
    options: DemoOptions,
    settings: Settings,
    show: Show,
    clock: Clock | None = None,
    on_phase: PhaseObserver | None = None,
    on_told: Callable[[App, DemoSummary, Stage], None] | None = None,
) -> tuple[DemoSummary, Stage, App]:
    """Run the demo and return what came of it; the caller closes the app.

    Whoever measures from outside does so in `on_phase`, in place of the demo's own probes or beside them. `on_told` is
    called at the end, while the platform and its metrics still answer.

    Raises:
        InvalidInput: an option cannot be.
        ConfigurationError: `out` holds something that is no demo.
        DependencyError: a part of the platform does not start.
    """
    clock = clock or SystemClock()
    if options.fault not in FAULTS:
        raise InvalidInput("fault", f"{options.fault!r} is not a fault", f"Use one of: {', '.join(FAULTS)}")
    out = fresh_folder(options.out)
    note = _noter(show)
    with ExitStack() as running:
        note("building the platform: corpus, a month of feedback, a first model (cached after the first time)")
        cache = settings.home.expanduser() / "testbed"
        world = bootstrap(out / "world", options.seed, options.documents, options.collection, cache)
        world.start(rate=options.rate)
        running.callback(world.stop)
        prometheus = _prometheus(options, world, out, running)
        config = load_config(write_config(out, world, options, prometheus))
        app = build(config, settings, observer=show, clock=clock)
        with ExitStack() as unless_told:
            unless_told.callback(app.close)
            found = _Story(options, app, world, show, on_phase).told()
            summary = summarise(options, app, found)
            if on_told is not None:
                on_told(app, summary, found)
            unless_told.pop_all()
    return summary, found, app


def fresh_folder(out: Path) -> Path:
    """Return the folder, empty: an earlier demo in it is deleted, anything else is left alone.

    Raises:
        ConfigurationError: the folder holds something that is no demo.
    """
    out = out.resolve()
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            raise ConfigurationError("out", f"{out} holds files that are no demo's", "Name an empty folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("made by evercrew demo\n", encoding="utf-8")
    return out


def write_config(out: Path, world: World, options: DemoOptions, prometheus: str | None) -> Path:
    """Write the `evercrew.yaml` of the demo's platform and return its path."""
    metrics = (
        {"kind": "prometheus", "url": prometheus} if prometheus else {"kind": "scrape", "url": f"{world.url}/metrics"}
    )
    content: dict[str, Any] = {
        "environment": "dev",
        "target": TARGET,
        "state": "state",
        "platform": {"url": world.url},
        "metrics": {**metrics, "interval_s": options.tick.total_seconds()},
        "values": {"remote": str(world.layout.gitops), "branch": "main", "path": "values.yaml"},
        "tracking": {
            "uri": f"sqlite:///{world.root}/mlflow.db",
            "model": "reranker",
            "artifacts": str(world.root / "mlruns"),
        },
        "datasets": {"repository": "datasets", "remote": str(out / "dvc-remote")},
        "evaluation": {"sealed": str(world.layout.sealed / "judgements.jsonl")},
    }
    if options.profile is not None:
        content["profile"] = str(options.profile.resolve())
    path = out / "evercrew.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _prometheus(options: DemoOptions, world: World, out: Path, running: ExitStack) -> str | None:
    if not options.prometheus:
        return None
    server = Prometheus.find()
    if server is None:
        raise DependencyUnavailable(
            "prometheus", "there is no `prometheus` on the PATH", "Install it, or leave --prometheus out"
        )
    running.callback(server.stop)
    return server.start(out / "prometheus", world.url)


def _noter(show: Show) -> Callable[[str], None]:
    return lambda what: show(Event(kind="note", cycle_id="", what=what))


@dataclass
class _Story:
    """Healthy, hurt, alerted, walked through a cycle, measured again."""

    options: DemoOptions
    app: App
    world: World
    show: Show
    on_phase: PhaseObserver | None
    found: Stage = field(default_factory=Stage)

    def told(self) -> Stage:
        """Let it happen and return what was found out."""
        app, options, found, note = self.app, self.options, self.found, _noter(self.show)
        note("users search; watching a healthy platform")
        self._healthy()
        watcher = Watcher(app.reader, PAGED, app.clock.now() + app.profile.measure.gap)
        inject(self.world, options.fault, options.seed)
        found.events.append((app.clock.now(), "something changes"))
        note("something happens to the platform; nobody is told")
        signal, since = self._alert(watcher)
        found.degraded = self._truth("degraded")
        if signal is None or since is None:
            note("no alert: nothing was significantly off")
            found.final = found.degraded
            return found
        found.events.append((since, f"alert: {signal}"))
        body = alert_body(signal, TARGET, "dev", since, f"{signal} is off its baseline")
        taken = take(body, app.routing, app.ports.store, app.clock)
        cycle = (taken.opened or taken.joined)[0]
        note(f"alert on {signal}: {cycle.id} is open")
        app.engine.start(cycle.id)
        found.cycle = self._finish(cycle.id, watcher)
        found.final = self._truth("final")
        found.checks = verify(cycle.id, app.evidence())
        return found

    def _healthy(self) -> None:
        """Let the baseline be measured, for as long as the first alert may look back; ask for the truth meanwhile."""
        app, measure = self.app, self.app.profile.measure
        until = app.clock.now() + measure.baseline + measure.gap
        watcher = Watcher(app.reader, PAGED, app.clock.now())
        self.found.healthy = self._truth("healthy")
        while app.clock.now() < until:
            self._look(watcher)

    def _look(self, watcher: Watcher) -> tuple[str | None, datetime | None]:
        self.app.clock.sleep(self.options.tick)
        values, signal, since = watcher.look()
        self.show.signals({name: measured.value for name, measured in values.items()})
        return signal, since

    def _alert(self, watcher: Watcher) -> tuple[str | None, datetime | None]:
        until = self.app.clock.now() + self.options.patience
        while self.app.clock.now() < until:
            signal, since = self._look(watcher)
            if signal is not None:
                return signal, since
        return None, None

    def _finish(self, cycle_id: str, watcher: Watcher) -> Cycle:
        engine, store = self.app.engine, self.app.ports.store
        while True:
            cycle = store.cycle(cycle_id)
            assert cycle is not None, "the cycle was opened a moment ago"
            if cycle.stage.terminal:
                return engine.wait(cycle_id, timedelta(seconds=30))
            if engine.status(cycle_id) == "failed":
                engine.wait(cycle_id, timedelta(seconds=5))
            self._look(watcher)

    def _truth(self, phase: str) -> float | None:
        if self.on_phase is not None:
            self.on_phase(phase, self.world)
        if not self.options.probes:
            return None
        measured = measure_live(self.world.layout, self.world.url, self.options.probes, self.options.seed)
        return float(measured["ndcg_at_10"])


def inject(world: World, fault: str, seed: int) -> None:
    """Switch the fault on, in a process of its own: nothing of it is in the memory of the crew's process."""
    if fault == "none":
        return
    command = [sys.executable, "-m", "testbed.faults", str(world.root), fault, "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DependencyUnavailable("testbed", f"the platform could not be changed: {done.stderr.strip()[-300:]}")


def summarise(options: DemoOptions, app: App, found: Stage) -> DemoSummary:
    """Return what the demo came to, from the artifacts of its cycle."""
    levels = NdcgLevels(healthy=found.healthy, degraded=found.degraded, final=found.final)
    artifacts = app.office.artifacts
    if found.cycle is None:
        return DemoSummary(
            cycle_id=None,
            fault=options.fault,
            seed=options.seed,
            action=None,
            outcome="no_cycle",
            verified=options.fault in ("none", "noise"),
            reason="no alert fired",
            ndcg=levels,
            model=app.model,
            artifacts=str(artifacts.root),
        )
    cycle = found.cycle
    outcome = artifacts.read(cycle.id, "outcome.json") or {}
    whole = all(check.ok for check in found.checks)
    return DemoSummary(
        cycle_id=cycle.id,
        fault=options.fault,
        seed=options.seed,
        action=cycle.action.value if cycle.action else None,
        outcome=cycle.outcome.value if cycle.outcome else cycle.stage.value,
        verified=bool(cycle.outcome and cycle.outcome.verified) and whole,
        reason=str(outcome.get("reason", cycle.reason)),
        ndcg=levels,
        gates=_gates(app, cycle.id),
        ab=_ab(app, cycle.id),
        effects=tuple(
            EffectFact(name=a["type"], receipt=a["receipt"], permit=a["permit"]) for a in outcome.get("actions", [])
        ),
        live=LiveFacts.model_validate(outcome.get("live", {})),
        seconds=Seconds(
            total=(cycle.updated_at - cycle.opened_at).total_seconds(),
            stages={k: round(v, 3) for k, v in cycle.timings.items()},
        ),
        model=", ".join(outcome.get("models", [])) or app.model,
        unsupported_claims=int(outcome.get("unsupported_claims", 0)),
        tokens=int(outcome.get("tokens", 0)),
        cost_usd=float(outcome.get("total_cost_usd", 0.0)),
        artifacts=str(artifacts.folder(cycle.id)),
    )


def as_json(summary: DemoSummary) -> str:
    """Return the summary as the JSON file holds it: the seconds of the stages stand beside their total."""
    plain = summary.model_dump(mode="json")
    plain["seconds"] = {"total": summary.seconds.total, **summary.seconds.stages}
    return json.dumps(plain, indent=2) + "\n"


def _gates(app: App, cycle_id: str) -> tuple[GateFact, ...]:
    artifacts = app.office.artifacts
    names = ("evaluation.json", "ab_test_results.json")
    listed = [
        (name.partition(".")[0], g) for name in names for g in (artifacts.read(cycle_id, name) or {}).get("gates", [])
    ]
    return tuple(
        GateFact(name=f"{where}: {g['name']}", verdict=g["verdict"], reason=g["reason"]) for where, g in listed
    )


def _ab(app: App, cycle_id: str) -> AbFacts | None:
    found = app.office.artifacts.read(cycle_id, "ab_test_results.json")
    if found is None:
        return None
    last = found["looks"][-1] if found["looks"] else {}
    return AbFacts(
        improvement=found["improvement"],
        lower=last.get("lower"),
        upper=last.get("upper"),
        users_baseline=last.get("users_baseline", 0),
        users_candidate=last.get("users_candidate", 0),
        verdict=found["verdict"],
    )
