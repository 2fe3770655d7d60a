"""How fast the platform is back on the old model, by its own word: after a breach, and after the kill switch.

`python -m evals.rollback --documents 3000` walks the demo's `corpus_shift` to its promotion, twice. The first time the
new model then meets questions that are too hard for it, until the watch says that it is worse. The second time somebody
throws the kill switch. Beside both stands the floor: a bare `git revert` and push, and the same wait for the platform,
with no policy, record or proof. Ends with 1 when the platform does not end on the old model, or takes longer than the
limit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import yaml

from domain.clock import Clock, SystemClock
from domain.errors import DependencyTimeout, EvercrewError
from domain.events import Event
from domain.receipt import RecordKind
from domain.stage import Stage as CycleStage
from evals.sections import Cell, Section
from evals.tables import console
from service.demo import DemoOptions, run
from service.demo_told import Stage
from service.settings import Settings, load
from service.wiring import App
from testbed.errors import TestbedError
from testbed.gitops import change_values
from testbed.layout import Layout
from testbed.universe import Control

SCENARIOS = ("breach", "kill switch")
LIMIT_S = 5.0
LOOK = timedelta(milliseconds=20)
# Longer than the watch: the model stays worse until it is judged.
HARD_SESSIONS = 20_000
FLOORS = 3
PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Timing:
    """One way back. `seconds` is from the breach (the verdict of the watch) or the switch to the platform's own word
    that the old model is live; `floor` is the bare revert beside it.
    """

    scenario: str
    seconds: float | None
    outcome: str
    old_model: bool
    problem: str = ""
    floor: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the platform ended on the old model, in time."""
        return self.old_model and self.seconds is not None and self.seconds < LIMIT_S and not self.problem


class Onlooker:
    """Shows nothing; acts once, when the promotion is live, in a thread of its own: the cycle does not wait for it."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        promoted = (event.kind, event.stage, event.what) == ("stage", CycleStage.PROMOTE.value, "end")
        if promoted and self._thread is None:
            self._thread = threading.Thread(target=self._act, name="onlooker", daemon=True)
            self._thread.start()

    def signals(self, values: Mapping[str, float | None]) -> None: ...


class Outside:
    """The platform as its users and its operators see it, without anything of the crew."""

    def __init__(self, out: Path, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self.layout = Layout((out / "world").resolve())
        self.digests: list[tuple[datetime, str]] = []

    def live(self) -> dict[str, Any]:
        """What the platform says that it serves."""
        config = yaml.safe_load((self._out / "evercrew.yaml").read_text(encoding="utf-8"))
        answer = httpx.get(f"{config['platform']['url']}/version", timeout=5.0)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def until(self, revision: str) -> datetime:
        """Return when the platform says that it serves this revision.

        Raises:
            DependencyTimeout: it does not, in a minute.
        """
        deadline = self._clock.now() + PATIENCE
        while self._clock.now() < deadline:
            if self.live()["values_revision"] == revision:
                return self._clock.now()
            self._clock.sleep(LOOK)
        raise DependencyTimeout("platform", f"what was waited for was not live in {PATIENCE.total_seconds():g} s")

    def harder(self) -> None:
        """Let users come with questions that are too hard for any model."""
        control = Control.read(self.layout.traffic)
        replace(control, burst=control.burst + 1, burst_sessions=HARD_SESSIONS).write(self.layout.traffic)

    def kill(self) -> None:
        """Throw the kill switch as an operator does, from another process."""
        words = ["kill", "on", "--env", "dev", "--by", "operator", "--reason", "measured"]
        config = str(self._out / "evercrew.yaml")
        command = [sys.executable, "-m", "service.cli", *words, "--config", config]
        subprocess.run(command, check=True, capture_output=True, text=True)


def floor(outside: Outside, clock: Clock) -> float:
    """The seconds of a bare revert: clone, revert, push, and the platform's word; the median of three."""
    times = []
    for number in range(FLOORS):
        revision = change_values(outside.layout.gitops, partial_title(201 + number), "A wider title")
        outside.until(revision)
        started = clock.now()
        reverted = _bare_revert(outside.layout.gitops, revision)
        times.append((outside.until(reverted) - started).total_seconds())
    return median(times)


def partial_title(chars: int) -> Callable[[Any], None]:
    """Return the edit of the values that shows so many characters of a title."""

    def edit(values: Any) -> None:
        values["search"]["title_chars"] = chars

    return edit


def _bare_revert(repository: Path, revision: str) -> str:
    with tempfile.TemporaryDirectory(prefix="evercrew-floor-") as scratch:
        tree = str(Path(scratch) / "tree")
        who = ["-c", "user.name=floor", "-c", "user.email=floor@localhost"]
        _git("clone", "--quiet", "--branch", "main", str(repository), tree)
        _git("-C", tree, *who, "revert", "--no-edit", revision)
        _git("-C", tree, "push", "--quiet", "origin", "main")
        return _git("-C", tree, "rev-parse", "HEAD")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def one(scenario: str, documents: int, seed: int, folder: Path, settings: Settings) -> Timing:
    """Walk one cycle to its promotion, let the scenario happen, and return how the platform came back."""
    clock = SystemClock()
    outside = Outside(folder, clock)
    act = outside.harder if scenario == "breach" else outside.kill
    measured: dict[str, float | None] = {}

    def told(app: App, summary: object, found: Stage) -> None:
        measured["floor"] = floor(outside, clock)

    options = DemoOptions(fault="corpus_shift", seed=seed, out=folder, documents=documents, probes=0)
    try:
        _, found, app = run(options, settings, Onlooker(act), clock, on_told=told)
    except (EvercrewError, TestbedError, subprocess.CalledProcessError) as problem:
        return Timing(scenario, None, "", False, f"{type(problem).__name__}: {problem}")
    try:
        return replace(_timing(scenario, app, found), floor=measured["floor"])
    finally:
        app.close()


def _timing(scenario: str, app: App, found: Stage) -> Timing:
    cycle = found.cycle
    if cycle is None or "release" not in cycle.facts:
        return Timing(scenario, None, "", False, "nothing was promoted")
    outcome = cycle.outcome.value if cycle.outcome else cycle.stage.value
    candidate = cycle.facts["candidate"]["model"]["digest"]
    point = cycle.facts.get("undo_point") or {}
    live = str(cycle.facts["live"]["digest"])
    begun = _begun(scenario, app, cycle.id)
    back = _verified(app, cycle.id)
    seconds = (back - begun).total_seconds() if begun is not None and back is not None else None
    return Timing(scenario, seconds, outcome, live == point.get("digest") and live != candidate)


def _begun(scenario: str, app: App, cycle_id: str) -> datetime | None:
    """When it was known that the model has to go: the verdict of the watch, or the switch as its record has it."""
    if scenario == "breach":
        moves = (r for r in app.audit.records(cycle_id) if r.entry.kind is RecordKind.TRANSITION)
        return next((r.at for r in moves if r.entry.status == CycleStage.ROLL_BACK.value), None)
    switched = [r.at for r in app.audit.records() if r.entry.status == "kill_on"]
    return switched[-1] if switched else None


def _verified(app: App, cycle_id: str) -> datetime | None:
    """When the platform itself said that the revert is live: the record of that read."""
    looks = [r for r in app.audit.records(cycle_id) if r.entry.tool == "await_live" and r.entry.stage == "roll_back"]
    return looks[0].at if looks else None


def section(rows: Sequence[Timing]) -> Section:
    """The ways back as a table."""
    cells: list[dict[str, Cell]] = [
        {
            "from": row.scenario,
            "to verified live s": row.seconds,
            "bare revert s": row.floor,
            "times the floor": row.seconds / row.floor if row.seconds is not None and row.floor else None,
            "limit s": LIMIT_S,
            "ends on": "the old model" if row.old_model else "NOT THE OLD MODEL",
            "outcome": row.outcome or row.problem or "-",
            "holds": "yes" if row.holds else "NO",
        }
        for row in rows
    ]
    note = "from the verdict of the watch, or the switch, to the platform's own word, by the audit chain"
    return Section("rollback", "the way back", cells, note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the ways back, print them, and return 0 when each holds."""
    parser = argparse.ArgumentParser(prog="python -m evals.rollback", description=__doc__)
    parser.add_argument("--documents", type=int, default=3000, help="documents of the corpus (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of corpus and users (default %(default)s)")
    parser.add_argument("--scenario", choices=SCENARIOS, help="only this one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    if given.documents < 500:
        parser.error("--documents must be at least 500")
    rows, settings, out = [], load(), console(to_stderr=given.json)
    with tempfile.TemporaryDirectory(prefix="evercrew-rollback-") as scratch:
        for number, scenario in enumerate([given.scenario] if given.scenario else SCENARIOS):
            out.print(f"{scenario}: walking a cycle to its promotion", markup=False)
            rows.append(one(scenario, given.documents, given.seed, Path(scratch) / str(number), settings))
    table = section(rows)
    if given.json:
        sys.stdout.write(json.dumps({**table.plain(), "holds": all(row.holds for row in rows)}, indent=2) + "\n")
    else:
        out.print(table.table())
    return 0 if rows and all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
