"""How often the crew decides rightly: every fault with several seeds, and the truth measured from outside.

`python -m evals.decisions --seeds 5 --documents 3000`; ends with 1 when the bar does not hold.
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

from domain.clock import SystemClock
from domain.errors import EvercrewError
from domain.events import Event
from evals.expectations import CRASHED, EXPECTED, NO_CYCLE, Run, bar, confusion, dangerous, lift, right
from evals.outside import PROBES, Outside, probes_for
from evals.pace import PATIENCE, RATE, TICK, write_profile
from evals.tables import bar_table, confusion_table, console, line
from service.demo import DemoOptions, run
from service.demo_told import Stage
from service.settings import Settings, load
from service.summary import DemoSummary
from testbed.errors import TestbedError

SCALE = 0.3


@dataclass(frozen=True)
class Plan:
    """What to run: faults times seeds from the first on, which corpus, how fast, and where folders are kept."""

    faults: tuple[str, ...]
    first: int
    seeds: int
    documents: int
    collection: Path | None
    scale: float
    probes: int
    keep: Path | None

    def pairs(self) -> list[tuple[str, int]]:
        """Fault and seed of every run; all faults of a seed follow one another, so that its world is made once."""
        return [(fault, seed) for seed in range(self.first, self.first + self.seeds) for fault in self.faults]


class _Silent:
    """Whoever shows the demo, and shows nothing."""

    def __call__(self, event: Event) -> None: ...

    def signals(self, values: Mapping[str, float | None]) -> None: ...


def one(plan: Plan, fault: str, seed: int, folder: Path, settings: Settings) -> Run:
    """Run one fault with one seed, in `folder`; a run that breaks is told as such."""
    clock = SystemClock()
    outside = Outside(seed, clock, probes_for(fault, plan.probes))
    options = DemoOptions(
        fault=fault,
        seed=seed,
        out=folder,
        documents=None if plan.collection else plan.documents,
        collection=plan.collection,
        rate=RATE / plan.scale,
        profile=write_profile(folder.parent / "profile", plan.scale),
        probes=0,
        patience=timedelta(seconds=PATIENCE * plan.scale),
        tick=timedelta(seconds=TICK * plan.scale),
    )
    started = clock.monotonic()
    try:
        summary, found, app = run(options, settings, _Silent(), clock, outside)
    except (EvercrewError, TestbedError) as problem:
        seconds = clock.monotonic() - started
        return Run(fault, seed, CRASHED, CRASHED, False, f"{type(problem).__name__}: {problem}", seconds=seconds)
    app.close()
    return _recorded(summary, found, outside, clock.monotonic() - started, options.rate)


def _recorded(summary: DemoSummary, found: Stage, outside: Outside, seconds: float, rate: float) -> Run:
    return Run(
        fault=summary.fault,
        seed=summary.seed,
        action=NO_CYCLE if summary.cycle_id is None else (summary.action or summary.outcome),
        outcome=summary.outcome,
        verified=summary.verified,
        reason=summary.reason,
        signal=found.cycle.alert.signal if found.cycle is not None else "",
        effects=tuple(effect.name for effect in summary.effects),
        levels=dict(outside.levels),
        seconds=seconds,
        cycle_seconds=summary.seconds.total,
        stages=dict(summary.seconds.stages),
        rate=outside.rate,
        wanted_rate=rate,
    )


def as_plain(runs: Sequence[Run]) -> dict[str, Any]:
    """Return everything as plain JSON."""
    rules = bar(runs)
    return {
        "runs": [{**asdict(r), "right": right(r), "dangerous": dangerous(r), "lift": lift(r)} for r in runs],
        "confusion": confusion(runs),
        "bar": [asdict(rule) for rule in rules],
        "holds": all(rule.holds for rule in rules),
        "seconds": sum(r.seconds for r in runs),
    }


def plan_of(arguments: Sequence[str] | None = None) -> tuple[Plan, bool]:
    """Return the plan of a command line, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(prog="python -m evals.decisions", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each fault (default %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="where to begin (default %(default)s)")
    parser.add_argument("--documents", type=int, default=3000, help="documents of the corpus (default %(default)s)")
    parser.add_argument("--collection", type=Path, help="a folder with docs.jsonl, queries.jsonl, qrels.tsv instead")
    parser.add_argument("--faults", default="", help=f"comma-separated, of {', '.join(EXPECTED)} (default: all)")
    parser.add_argument("--scale", type=float, default=SCALE, help="windows times this (default %(default)s)")
    parser.add_argument("--probes", type=int, default=PROBES, help="questions a measurement (default %(default)s)")
    parser.add_argument("--keep", type=Path, help="keep the folders of the runs here")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    faults = tuple(name.strip() for name in given.faults.split(",") if name.strip()) or tuple(EXPECTED)
    unknown = [name for name in faults if name not in EXPECTED]
    if unknown:
        parser.error(f"--faults: {unknown[0]!r} is none of {', '.join(EXPECTED)}")
    if given.seeds < 1 or given.probes < 2 or not 0 < given.scale <= 1:
        parser.error("--seeds must be at least 1, --probes at least 2, --scale in (0, 1]")
    keep = given.keep.resolve() if given.keep else None
    plan = Plan(
        faults=faults,
        first=given.first_seed,
        seeds=given.seeds,
        documents=given.documents,
        collection=given.collection,
        scale=given.scale,
        probes=given.probes,
        keep=keep,
    )
    return plan, bool(given.json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan, print what came of it, and return 0 when the bar holds."""
    plan, as_json = plan_of(arguments)
    settings, told = load(), console(to_stderr=as_json)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="evercrew-decisions-") as scratch:
        for fault, seed in plan.pairs():
            folder = (plan.keep or Path(scratch)) / f"{fault}-{seed}"
            runs.append(one(plan, fault, seed, folder, settings))
            told.print(line(runs[-1]), soft_wrap=True)
            if not right(runs[-1]) or not runs[-1].verified:
                told.print(f"    {runs[-1].signal or 'no alert'}: {runs[-1].reason}", soft_wrap=True, markup=False)
            if plan.keep is None:
                shutil.rmtree(folder, ignore_errors=True)
    rules = bar(runs)
    if as_json:
        sys.stdout.write(json.dumps(as_plain(runs), indent=2) + "\n")
    else:
        told.print(confusion_table(runs))
        told.print(bar_table(rules))
        told.print(f"{len(runs)} runs in {sum(r.seconds for r in runs) / 60:.1f} minutes")
    return 0 if all(rule.holds for rule in rules) else 1


if __name__ == "__main__":
    sys.exit(main())
