"""Two platforms under one service: each is hurt in its own way, and healed through its own systems.

`python -m evals.several_targets --documents 2000`; ends with 1 when a cycle was not verified, or one platform's
repository knows of the other's cycle.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cycles.intake import take
from cycles.verify import verify
from domain.cycle import Cycle
from domain.events import Event
from evals.sections import Section
from evals.tables import console
from service.demo import DemoOptions, inject, run
from service.demo_told import Stage
from service.settings import load
from service.summary import DemoSummary
from service.watcher import alert_body
from service.wiring import App
from testbed.world import World, bootstrap

FIRST, SECOND = "search", "ads"
# One is put right by a tuning, the other by a roll-back: what they do is told apart at a glance.
FAULTS = {FIRST: "latency", SECOND: "bad_deploy"}
HEALED = {FIRST: "tuned", SECOND: "restored"}
RATE = 60.0
PATIENCE = timedelta(minutes=10)


@dataclass
class Story:
    """The first target is walked through by the demo, and the second beside it."""

    second: World
    first: World | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        """Say what happens."""
        if event.kind in ("note", "stage"):
            sys.stderr.write(f"{event.cycle_id} {event.kind} {event.what}\n")

    def signals(self, values: Mapping[str, float | None]) -> None:
        """Nobody looks."""

    def phase(self, name: str, world: World) -> None:
        """Hurt the second once the first is."""
        self.first = world
        if name == "degraded":
            inject(self.second, FAULTS[SECOND], 1)

    def told(self, app: App, summary: DemoSummary, found: Stage) -> None:
        """Let an alert about the second come in, and note what came of both."""
        assert found.cycle is not None, "the first alert did not come"
        now = app.clock.now()
        body = alert_body("ndcg_at_10", SECOND, app.config.environment, now - timedelta(seconds=30), "it is off")
        taken = take(body, app.routing, app.ports.store, app.clock)
        cycle = (taken.opened or taken.joined)[0]
        app.engine.start(cycle.id)
        ended = app.engine.wait(cycle.id, PATIENCE)
        self._note(app, found.cycle, self.first)
        self._note(app, ended, self.second)

    def _note(self, app: App, cycle: Cycle, world: World | None) -> None:
        assert world is not None
        checks = verify(cycle.id, app.at(cycle.target).evidence())
        log = ["git", "-C", str(world.layout.gitops), "log", "--format=%B", "main"]
        told = subprocess.run(log, capture_output=True, text=True, check=True).stdout
        others = [c.id for c in app.ports.store.cycles(limit=100) if c.target != cycle.target]
        self.rows.append(
            {
                "target": cycle.target,
                "fault": FAULTS[cycle.target],
                "cycle": cycle.id,
                "outcome": cycle.outcome.value if cycle.outcome else None,
                "proved": sum(1 for check in checks if check.ok),
                "not proved": sum(1 for check in checks if not check.ok),
                "commits in its repository": told.count(cycle.id),
                "commits of the other's": sum(told.count(each) for each in others),
            }
        )


def sections_of(world: World, folder: Path) -> dict[str, Any]:
    """Return section `targets` for a second platform."""
    own = {
        "platform": {"url": world.url},
        "metrics": {"url": f"{world.url}/metrics"},
        "values": {"remote": str(world.layout.gitops)},
        "tracking": {"uri": f"sqlite:///{world.root}/mlflow.db", "artifacts": str(world.root / "mlruns")},
        "datasets": {"repository": str(folder / "datasets"), "remote": str(folder / "dvc-remote")},
        "evaluation": {"sealed": str(world.layout.sealed / "judgements.jsonl")},
    }
    return {"targets": {SECOND: own}}


def measured(documents: int, seed: int) -> Section:
    """Run both, and return a row for each."""
    settings = load()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cache = settings.home.expanduser() / "testbed"
        second = bootstrap(folder / SECOND, seed + 1, documents, None, cache)
        second.start(rate=RATE)
        story = Story(second)
        sections = sections_of(second, folder)
        options = DemoOptions(
            FAULTS[FIRST], seed=seed, out=folder / "demo", documents=documents, rate=RATE, sections=sections
        )
        try:
            run(options, settings, story, on_phase=story.phase, on_told=story.told)[2].close()
        finally:
            second.stop()
    return Section("several_targets", "two platforms under one service", story.rows)


def well(section: Section) -> bool:
    """Whether both are healed and proved, and each cycle changed its own repository alone."""
    rows = section.rows
    apart = all(row["commits in its repository"] and not row["commits of the other's"] for row in rows)
    healed = {row["target"]: row["outcome"] for row in rows} == HEALED
    return healed and apart and not any(row["not proved"] for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 when both are healed, each through its own systems."""
    parser = argparse.ArgumentParser(prog="python -m evals.several_targets", description=__doc__)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    section = measured(given.documents, given.seed)
    if given.json:
        sys.stdout.write(json.dumps(section.plain(), indent=2) + "\n")
    else:
        console().print(section.table())
    return 0 if well(section) else 1


if __name__ == "__main__":
    sys.exit(main())
