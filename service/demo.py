"""The demo: a real small search platform is hurt, and the crew is called by its own alert.

The fault is switched on from outside, by a process the crew knows nothing of; from there on everything happens by what
the platform shows: its metrics page, its logs, its repository, its judgements.
"""

from __future__ import annotations

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

from cycles.intake import Taken, take
from cycles.verify import verify
from domain.clock import Clock, SystemClock
from domain.cycle import Cycle
from domain.errors import ConfigurationError, DependencyUnavailable, InvalidInput
from domain.events import Event
from service.config import load_config
from service.demo_told import Stage, summarise
from service.settings import Settings
from service.summary import DemoSummary
from service.surroundings import Inbox, Surroundings, with_prometheus
from service.watcher import Watcher, alert_body
from service.wiring import App, build
from testbed.errors import DataError
from testbed.probe import measure_live
from testbed.world import World, bootstrap

FAULTS = (
    "corpus_shift",
    "bad_deploy",
    "label_corruption",
    "latency",
    "index_errors",
    "cost_spike",
    "recall_drop",
    "etl_backlog",
    "satisfaction_drop",
    "noise",
    "none",
)
MARK = ".evercrew-demo"
TARGET = "search"
# Fresh questions with known answers, asked of the live service outside of its own figures.
PROBES = 300
# What wakes somebody up. Recall falls with nDCG, which is closer to users: its rule pages where it is asked for.
PAGED = (
    "ndcg_at_10",
    "latency_p95_ms",
    "etl_backlog_s",
    "budget_share",
    "cost_per_1k_requests",
    "vector_index_errors",
    "user_satisfaction",
)


@dataclass(frozen=True)
class DemoOptions:
    """What to show.

    `documents` None is the whole corpus, `rate` is in sessions a second, `profile` replaces the packaged one. Every
    `tick` the metrics page is read and the signals are looked at; `patience` is how long an alert is waited
    for, `paged` are the signals that raise one. `full` starts the systems of a production team around the platform,
    `sections` are laid over the configuration.
    """

    fault: str = "corpus_shift"
    seed: int = 1
    out: Path = Path("artifacts/demo")
    documents: int | None = None
    collection: Path | None = None
    prometheus: bool = False
    full: bool = False
    rate: float = 120.0
    profile: Path | None = None
    probes: int = PROBES
    patience: timedelta = timedelta(seconds=45)
    tick: timedelta = timedelta(seconds=0.5)
    paged: tuple[str, ...] = PAGED
    sections: Mapping[str, Any] = field(default_factory=dict)


class Show(Protocol):
    """Whoever shows the demo to people."""

    def __call__(self, event: Event) -> None: ...

    def signals(self, values: Mapping[str, float | None]) -> None: ...


PhaseObserver = Callable[[str, World], None]
"""Told of ``healthy``, ``degraded`` and ``final`` while the world is in it; the demo waits for its return."""


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
        world = _world(options, out, cache)
        around = _around(options, world, out, running, note)
        config = load_config(write_config(out, world, options, {**around.sections, **options.sections}))
        app = build(config, settings.model_copy(update=around.settings), observer=show, clock=clock)
        with ExitStack() as unless_told:
            unless_told.callback(app.close)
            found = _Story(options, app, world, show, on_phase, around.inbox).told()
            summary = summarise(options.fault, options.seed, app, found)
            if on_told is not None:
                on_told(app, summary, found)
            unless_told.pop_all()
    return summary, found, app


def _world(options: DemoOptions, out: Path, cache: Path) -> World:
    try:
        return bootstrap(out / "world", options.seed, options.documents, options.collection, cache)
    except DataError as problem:
        if options.collection is None:
            raise
        remedy = "Name a folder with docs.jsonl or docs.jsonl.gz, queries.jsonl and qrels.tsv"
        raise InvalidInput("collection", str(problem), remedy) from None


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


def write_config(out: Path, world: World, options: DemoOptions, sections: Mapping[str, Any]) -> Path:
    """Write the `evercrew.yaml` of the demo's platform, with `sections` laid over it, and return its path."""
    content: dict[str, Any] = {
        "environment": "dev",
        "target": TARGET,
        "state": "state",
        "platform": {"url": world.url},
        "metrics": {"url": f"{world.url}/metrics", "interval_s": options.tick.total_seconds()},
        "values": {"remote": str(world.layout.gitops), "branch": "main", "path": "values.yaml"},
        "tracking": {
            "uri": f"sqlite:///{world.root}/mlflow.db",
            "model": "reranker",
            "artifacts": str(world.root / "mlruns"),
        },
        "datasets": {"repository": "datasets", "remote": str(out / "dvc-remote")},
        "feedback": {"kind": "platform"},
        "evaluation": {"sealed": str(world.layout.sealed / "judgements.jsonl")},
    }
    for name, section in sections.items():
        content[name] = {**content.get(name, {}), **section}
    if options.profile is not None:
        content["profile"] = str(options.profile.resolve())
    path = out / "evercrew.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _around(
    options: DemoOptions, world: World, out: Path, running: ExitStack, note: Callable[[str], None]
) -> Surroundings:
    """Start the platform with its users, and what stands around it."""
    if options.full:
        from service.demo_full import everything

        return everything(world, out, running, note, rate=options.rate, paged=options.paged)
    world.start(rate=options.rate)
    running.callback(world.stop)
    return with_prometheus(world, out, running) if options.prometheus else Surroundings()


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
    inbox: Inbox | None = None
    found: Stage = field(default_factory=Stage)

    def told(self) -> Stage:
        """Let it happen and return what was found out."""
        app, options, found, note = self.app, self.options, self.found, _noter(self.show)
        note("users search; watching a healthy platform")
        self._healthy()
        watcher = Watcher(app.reader, self.options.paged, app.clock.now() + app.profile.measure.gap)
        if self.inbox is not None:
            self.inbox.open(app)
        inject(self.world, options.fault, options.seed)
        found.events.append((app.clock.now(), "something changes"))
        note("something happens to the platform; nobody is told")
        taken = self._alert(watcher)
        found.degraded = self._truth("degraded")
        if taken is None:
            note("no alert: nothing was significantly off")
            found.final = found.degraded
            return found
        cycle = (taken.opened or taken.joined)[0]
        found.events.append((cycle.alert.starts_at, f"alert: {cycle.alert.signal}"))
        note(f"alert on {cycle.alert.signal}: {cycle.id} is open")
        app.engine.start(cycle.id)
        found.cycle = self._finish(cycle.id, watcher)
        found.final = self._truth("final")
        found.checks = verify(cycle.id, app.evidence())
        return found

    def _healthy(self) -> None:
        """Let the baseline be measured, for as long as the first alert may look back; ask for the truth meanwhile."""
        app, measure = self.app, self.app.profile.measure
        until = app.clock.now() + measure.baseline + measure.gap
        watcher = Watcher(app.reader, self.options.paged, app.clock.now())
        self.found.healthy = self._truth("healthy")
        while app.clock.now() < until:
            self._look(watcher)

    def _look(self, watcher: Watcher) -> tuple[str | None, datetime | None]:
        self.app.clock.sleep(self.options.tick)
        values, signal, since = watcher.look()
        self.show.signals({name: measured.value for name, measured in values.items()})
        return signal, since

    def _alert(self, watcher: Watcher) -> Taken | None:
        """Wait for the alert: from the alert manager where there is one, else from the watcher."""
        app, until = self.app, self.app.clock.now() + self.options.patience
        while app.clock.now() < until:
            signal, since = self._look(watcher)
            if self.inbox is not None:
                if self.inbox.taken is not None:
                    return self.inbox.taken
            elif signal is not None and since is not None:
                body = alert_body(signal, TARGET, "dev", since, f"{signal} is off its baseline")
                return take(body, app.routing, app.ports.store, app.clock)
        return None

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
