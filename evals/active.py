"""A whole retrain cycle on a small real platform, beside the bare machine learning in it.

*Active* is what the stages took without the durable waits between their looks. *Bare* is training, scoring and
explaining by the platform's own functions, called in this process on the inputs the cycle used. Both with users
searching meanwhile; bare a second time on an idle platform.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from adapters.evaluation.sealed import draw, read_rows, write_queries
from domain.clock import Clock
from domain.events import Event
from domain.plan import TrainingPlan
from evals.pace import PATIENCE, RATE, TICK, write_profile
from evals.sections import Cell, Section, timed
from service.demo import DemoOptions, run
from service.demo_told import Stage
from service.settings import Settings
from service.wiring import App
from testbed import jobs
from testbed.world import World

SCALE = 0.5
DOCUMENTS = 3000
EXPLAINED = 80
GOAL = 1.15
# The calls that do the machine learning, by the bare function they wrap.
WRAPS = {"train_model": "train", "offline_evaluation": "score", "attribution": "explain"}


@dataclass
class Stopwatch:
    """Sums the time up to each answer of the door and of the crews, by name, within the stages' active time."""

    clock: Clock
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    last: float = 0.0

    def __call__(self, event: Event) -> None:
        """See `Observer`."""
        now = self.clock.monotonic()
        if event.kind == "stage" and event.what == "begin":
            self.last = now
        elif event.kind == "call":
            self._add(event.what, now)
        elif event.kind in ("agent", "model"):
            self._add("crews", now)
        elif event.kind == "stage":
            self._add("the engine and its stages", now)

    def signals(self, values: Mapping[str, float | None]) -> None:
        """See `Show`."""

    def _add(self, name: str, now: float) -> None:
        self.spent[name] += now - self.last
        self.last = now


@dataclass(frozen=True)
class Bare:
    """Seconds of each bare function, called once to load its libraries and once for the figure; the digest it gave."""

    first: Mapping[str, float]
    again: Mapping[str, float]
    digest: str


def measure(folder: Path, settings: Settings, clock: Clock) -> list[Section]:
    """Run the cycle and the bare work; raises what the demo raises."""
    watch = Stopwatch(clock)
    options = DemoOptions(
        fault="corpus_shift",
        out=folder / "cycle",
        documents=DOCUMENTS,
        rate=RATE / SCALE,
        profile=write_profile(folder, SCALE),
        probes=0,
        patience=timedelta(seconds=PATIENCE * SCALE),
        tick=timedelta(seconds=TICK * SCALE),
    )
    summary, found, app = run(options, settings, watch, clock)
    try:
        if found.cycle is None or "candidate" not in found.cycle.facts:
            return [Section("cycle", "the cycle beside its bare work", [], f"no model was trained: {summary.reason}")]
        world = World(options.out.resolve() / "world")
        idle = bare(app, found, world, clock)
        with_users = _among_users(app, found, world, clock, options.rate)
    finally:
        app.close()
    return [_beside(found, with_users, idle, watch), _stages(found), _rest(watch)]


def bare(app: App, found: Stage, world: World, clock: Clock) -> Bare:
    """Train, score and explain on the inputs of the cycle, twice."""
    with tempfile.TemporaryDirectory(prefix="evercrew-bare-") as scratch:
        calls = _inputs(app, found, world, Path(scratch))
        given: dict[str, dict[str, Any]] = {}
        first, again = (
            {name: timed(clock, partial(_call, name, call, given)) for name, call in calls.items()} for _ in range(2)
        )
        return Bare(first, again, str(given["train"]["digest"]))


def _among_users(app: App, found: Stage, world: World, clock: Clock, rate: float) -> Bare:
    world.start(rate=rate)
    try:
        return bare(app, found, world, clock)
    finally:
        world.stop()


def _call(name: str, call: tuple[Any, dict[str, Any], Path], given: dict[str, dict[str, Any]]) -> None:
    function, args, out = call
    given[name] = function(args, out)


def _inputs(app: App, found: Stage, world: World, scratch: Path) -> dict[str, tuple[Any, dict[str, Any], Path]]:
    """The functions with what the cycle gave them: its dataset and plan, both models, the sealed queries."""
    assert found.cycle is not None
    facts = found.cycle.facts
    dataset = next((app.config.datasets.repository).glob("aug_*/documents.jsonl")).parent
    plan = TrainingPlan.model_validate(facts["training_plan"]["value"])
    params = {"leaves": plan.num_leaves, "learning_rate": plan.learning_rate, "iterations": plan.rounds}
    digests = {"baseline": facts["ab"]["baseline"], "candidate": facts["candidate"]["model"]["digest"]}
    models = world.layout.models
    bundles = {name: str(models / digest.removeprefix("sha256:")) for name, digest in digests.items()}
    held_out = draw(read_rows(app.config.evaluation.sealed), app.config.evaluation.max_queries, drop_unseen=False)
    write_queries(held_out, scratch / "judgements.jsonl")
    documents = str(dataset / "documents.jsonl")
    asked = [query.query for query in held_out.queries[:EXPLAINED]]
    halves = {"before": asked[: EXPLAINED // 2], "after": asked[EXPLAINED // 2 :]}
    scoring = {"bundles": bundles, "documents": documents, "judgements": str(scratch / "judgements.jsonl"), "k": 50}
    explaining = {"bundle": bundles["baseline"], "documents": documents, "queries": asked, "groups": halves}
    training = {"dataset": str(dataset), "seed": plan.seed, "params": params}
    return {
        "train": (jobs.train, training, scratch / "train"),
        "score": (jobs.score, scoring, scratch / "score"),
        "explain": (jobs.explain, explaining, scratch / "explain"),
    }


def _beside(found: Stage, users: Bare, idle: Bare, watch: Stopwatch) -> Section:
    assert found.cycle is not None
    rows: list[dict[str, Cell]] = []
    for call, name in WRAPS.items():
        seconds = watch.spent.get(call)
        rows.append(_row(f"{name} ({call})", seconds, users.again[name], idle.again[name], users.first[name]))
    total = sum(found.cycle.timings.values())
    sums = [sum(part.values()) for part in (users.again, idle.again, users.first)]
    rows.append(_row("the whole cycle, active", total, *sums))
    same = "the same digest" if idle.digest == found.cycle.facts["candidate"]["model"]["digest"] else "ANOTHER DIGEST"
    note = (
        f"bare training gave {same}; the goal for the ratio is {GOAL:g}; 'loading' is the first bare call, with the "
        f"import of its libraries, which a worker process pays each time"
    )
    return Section("cycle", "the cycle's active time beside its bare machine learning, seconds", rows, note)


def _row(name: str, seconds: float | None, users: float, idle: float, first: float) -> dict[str, Cell]:
    return {
        "work": name,
        "in the cycle": seconds,
        "bare": users,
        "ratio": seconds / users if seconds is not None and users > 0 else None,
        "bare, no users": idle,
        "bare, loading": first,
    }


def _stages(found: Stage) -> Section:
    assert found.cycle is not None
    rows: list[dict[str, Cell]] = [{"stage": name, "active s": value} for name, value in found.cycle.timings.items()]
    return Section("stages", "active seconds of the stages", rows)


def _rest(watch: Stopwatch) -> Section:
    rest = {name: seconds for name, seconds in watch.spent.items() if name not in WRAPS and seconds >= 0.05}
    rows: list[dict[str, Cell]] = [
        {"where": name, "seconds": seconds} for name, seconds in sorted(rest.items(), key=lambda pair: -pair[1])
    ]
    return Section("rest", "where the rest of the active time goes", rows, "time up to each answer, summed by name")
