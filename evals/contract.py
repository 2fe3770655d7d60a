"""Whether every row of the contract is alive: a fault for each, its signal, the remedy, and the time between them.

`python -m evals.contract --documents 3000`; ends with 1 when a row did not fire, did not act, or left no record of how
fast it was.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cycles.reaction import REMARKS, STATUS
from domain.clock import SystemClock
from domain.errors import EvercrewError
from domain.events import Event
from domain.receipt import RecordKind
from evals.pace import PATIENCE, RATE, TICK, write_profile
from evals.sections import Cell, Section
from evals.tables import console
from policies.contract import load_contract
from policies.packaged import packaged_contract
from service.demo import DemoOptions, run
from service.demo_told import Stage
from service.settings import Settings, load
from service.wiring import App
from testbed.errors import TestbedError

SCALE = 0.3
# What lets each row show itself, by its trigger.
FAULTS: Mapping[str, str] = {
    "ndcg_drop": "corpus_shift",
    "recall_drop": "recall_drop",
    "latency_spike": "latency",
    "etl_backlog": "etl_backlog",
    "cost_spike": "cost_spike",
    "index_errors": "index_errors",
    "satisfaction_drop": "satisfaction_drop",
}
# A platform that is slow answers few: its windows are longer, so that there are enough requests in them to judge.
LONGER: Mapping[str, float] = {"latency_spike": 2.0}


@dataclass(frozen=True)
class Plan:
    """Which rows to run, on how many documents, with which seed, and how much faster than the packaged windows."""

    rows: tuple[str, ...]
    documents: int
    seed: int
    scale: float
    keep: Path | None


@dataclass(frozen=True)
class Row:
    """What one row came to.

    `fired_s` is from the fault to the open cycle, `reaction_s` from the signal to the first remedy as the cycle itself
    recorded it, `allowed_s` what the contract allows for that. `before`, `hurt` and `after` are the signal's values:
    its baseline, what the cycle saw, and the last look of its watch. `problem` says why a row broke.
    """

    trigger: str
    fault: str
    signal: str = ""
    fired_s: float | None = None
    action: str = ""
    effects: tuple[str, ...] = ()
    reaction_s: float | None = None
    allowed_s: float | None = None
    in_time: bool | None = None
    recorded: bool = False
    outcome: str = ""
    verified: bool = False
    before: float | None = None
    hurt: float | None = None
    after: float | None = None
    seconds: float = 0.0
    problem: str = ""

    @property
    def fired(self) -> bool:
        """Whether the row's own signal opened the cycle."""
        return bool(self.signal) and CONTRACT.signal(self.signal).trigger == self.trigger

    @property
    def acted(self) -> bool:
        """Whether something was done about it."""
        return bool(set(self.effects) - REMARKS)

    @property
    def alive(self) -> bool:
        """Whether the row fired, acted and recorded its reaction time."""
        return self.fired and self.acted and self.recorded


CONTRACT = load_contract(packaged_contract())


def paged(trigger: str) -> tuple[str, ...]:
    """The signals of a row: its own rule is what pages, also where nDCG falls with it and would be the first."""
    return tuple(name for name, row in CONTRACT.signals.items() if row.trigger == trigger)


class _Silent:
    """Whoever shows the demo, and shows nothing."""

    def __call__(self, event: Event) -> None: ...

    def signals(self, values: Mapping[str, float | None]) -> None: ...


def one(plan: Plan, trigger: str, folder: Path, settings: Settings) -> Row:
    """Run one row in `folder`; a run that breaks is told as such."""
    fault, clock = FAULTS[trigger], SystemClock()
    scale = min(plan.scale * LONGER.get(trigger, 1.0), 1.0)
    options = DemoOptions(
        fault=fault,
        seed=plan.seed,
        out=folder,
        documents=plan.documents,
        rate=RATE / scale,
        profile=write_profile(folder.parent / f"profile-{scale:g}", scale),
        probes=0,
        patience=timedelta(seconds=PATIENCE * scale),
        tick=timedelta(seconds=TICK * scale),
        paged=paged(trigger),
    )
    started = clock.monotonic()
    try:
        _, found, app = run(options, settings, _Silent(), clock)
    except (EvercrewError, TestbedError) as problem:
        return Row(trigger, fault, seconds=clock.monotonic() - started, problem=f"{type(problem).__name__}: {problem}")
    try:
        return recorded(trigger, fault, found, app, clock.monotonic() - started)
    finally:
        app.close()


def recorded(trigger: str, fault: str, found: Stage, app: App, seconds: float) -> Row:
    """Return what the cycle itself recorded."""
    if found.cycle is None:
        return Row(trigger, fault, seconds=seconds, problem="no alert fired")
    cycle, read = found.cycle, app.office.artifacts.read
    outcome = read(cycle.id, "outcome.json") or {}
    looks = (read(cycle.id, "watch.json") or {}).get("looks", [])
    reaction = outcome.get("reaction") or {}
    return Row(
        trigger=trigger,
        fault=fault,
        signal=cycle.alert.signal,
        fired_s=(cycle.opened_at - found.events[0][0]).total_seconds(),
        action=cycle.action.value if cycle.action else "",
        effects=tuple(action["type"] for action in outcome.get("actions", [])),
        reaction_s=reaction.get("seconds"),
        allowed_s=reaction.get("allowed_s"),
        in_time=reaction.get("in_time"),
        recorded=bool(reaction) and _in_chain(app, cycle.id, reaction),
        outcome=str(outcome.get("outcome", "")),
        verified=bool(outcome.get("verified")) and all(check.ok for check in found.checks),
        before=outcome.get("trigger", {}).get("baseline"),
        hurt=outcome.get("trigger", {}).get("value"),
        after=looks[-1]["value"] if looks else None,
        seconds=seconds,
        problem="" if outcome.get("verified") else str(outcome.get("reason", "")),
    )


def _in_chain(app: App, cycle_id: str, reaction: Mapping[str, Any]) -> bool:
    """Whether the audit chain says the same of the reaction as the artifact."""
    notes = [r.entry for r in app.audit.records(cycle_id) if r.entry.kind is RecordKind.NOTE]
    return any(n.status.startswith(STATUS) and n.body.get("seconds") == reaction["seconds"] for n in notes)


def section(rows: Sequence[Row]) -> Section:
    """The rows as a table."""
    cells: list[dict[str, Cell]] = [
        {
            "row": row.trigger,
            "fault": row.fault,
            "signal": row.signal or "none",
            "fired after s": row.fired_s,
            "action": row.action or "-",
            "first remedy after s": row.reaction_s,
            "allowed s": row.allowed_s,
            "outcome": row.outcome or "-",
            "verified": "yes" if row.verified else "NO",
            "before": row.before,
            "hurt": row.hurt,
            "after": row.after,
            "alive": "yes" if row.alive else "NO",
        }
        for row in rows
    ]
    return Section(
        "contract", "the rows of the contract", cells, "times as the cycles recorded them; windows are scaled"
    )


def plan_of(arguments: Sequence[str] | None = None) -> tuple[Plan, bool]:
    """Return the plan of a command line, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(prog="python -m evals.contract", description=__doc__)
    parser.add_argument("--rows", default="", help=f"comma-separated, of {', '.join(FAULTS)} (default: all)")
    parser.add_argument("--documents", type=int, default=3000, help="documents of the corpus (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of corpus, users and faults (default %(default)s)")
    parser.add_argument("--scale", type=float, default=SCALE, help="windows times this (default %(default)s)")
    parser.add_argument("--keep", type=Path, help="keep the folders of the runs here")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    rows = tuple(name.strip() for name in given.rows.split(",") if name.strip()) or tuple(FAULTS)
    unknown = [name for name in rows if name not in FAULTS]
    if unknown:
        parser.error(f"--rows: {unknown[0]!r} is none of {', '.join(FAULTS)}")
    if given.documents < 500 or not 0 < given.scale <= 1:
        parser.error("--documents must be at least 500, --scale in (0, 1]")
    keep = given.keep.resolve() if given.keep else None
    return Plan(rows, given.documents, given.seed, given.scale, keep), bool(given.json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows, print what came of them, and return 0 when each is alive."""
    plan, as_json = plan_of(arguments)
    settings, told = load(), console(to_stderr=as_json)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="evercrew-contract-") as scratch:
        for trigger in plan.rows:
            folder = (plan.keep or Path(scratch)) / trigger
            rows.append(row := one(plan, trigger, folder, settings))
            said = f"{row.trigger:<18} {row.seconds:5.1f} s  {'alive' if row.alive else 'NOT ALIVE'}"
            told.print(f"{said}  {row.action or 'no action'} {row.outcome} {row.problem}", soft_wrap=True, markup=False)
            if plan.keep is None:
                shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        plain = [{**asdict(row), "fired": row.fired, "acted": row.acted, "alive": row.alive} for row in rows]
        sys.stdout.write(json.dumps({"rows": plain, "alive": all(row.alive for row in rows)}, indent=2) + "\n")
    else:
        told.print(section(rows).table())
        told.print(f"{len(rows)} rows in {sum(row.seconds for row in rows) / 60:.1f} minutes")
    return 0 if rows and all(row.alive for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
