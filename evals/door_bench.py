"""`evercrew bench door`: what the door costs and carries, each figure beside its floor from the same run, and its goal.

`python -m evals.door_bench [--records N] [--seconds S] [--json]`
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from domain.clock import Clock, SystemClock
from evals import door, door_chain, door_threads
from evals.sections import Section
from evals.tables import console

GOAL_DECISION_US = 100.0
Row = dict[str, str | float | int | None]


def summary(sections: Mapping[str, Section], best: float) -> Section:
    """Return the figures that have a goal, or are held against one flush, with their floors."""
    calls = {str(row["call"]): row for row in sections["gate"].rows}
    flush = _number(calls["one flushed write (fsync) of 600 bytes"], "p95 ms")
    decision = _number(sections["policy"].rows[0], "p50 us")
    bare_call = _number(calls["bare call of a no-op tool"], "p50 ms")
    verify, bare = sections["audit"].rows[0], sections["audit"].rows[2]
    reads = max(_number(row, "a second") for row in sections["sustained"].rows if str(row["calls"]).startswith("reads"))
    flushes = _number(sections["sustained"].rows[-1], "a second")
    rows = [
        _goal("gate p95, a read (one flushed record)", _number(calls["read through the gate"], "p95 ms"), "ms", flush),
        _goal("gate p95, an effect (two)", _number(calls["effect through the gate"], "p95 ms"), "ms", flush),
        _goal("policy decision p50", decision, "us", 1000 * bare_call, most=GOAL_DECISION_US),
        _goal("gated reads, sustained", reads, "a second", flushes, least=door_threads.GOAL_PER_SECOND),
        _goal("gated effects, sustained", best, "a second", flushes, least=door_threads.GOAL_PER_SECOND),
        _goal(
            "audit verification",
            _number(verify, "records a minute"),
            "records a minute",
            _number(bare, "records a minute"),
            least=door_chain.GOAL_PER_MINUTE,
        ),
    ]
    note = (
        "floors: one bare flushed write (p95; a second), a bare call of a no-op tool, a bare SHA-256 of the same bytes"
    )
    return Section("door", "the door, beside its goals and floors", rows, note)


def _number(row: Mapping[str, str | float | int | None], name: str) -> float:
    value = row[name]
    if not isinstance(value, int | float):
        raise ValueError(f"{name} was not measured")
    return float(value)


def _goal(
    name: str, value: float, unit: str, floor: float | None, *, most: float | None = None, least: float | None = None
) -> Row:
    goal = f"under {most:,.0f}" if most is not None else f"over {least:,.0f}" if least is not None else "-"
    met = None if most is None and least is None else (value < most if most is not None else value >= (least or 0.0))
    said = {None: "-", True: "yes", False: "NO"}[met]
    return {"figure": name, "measured": value, "unit": unit, "floor": floor, "goal": goal, "met": said}


def measured(folder: Path, clock: Clock, *, records: int, seconds: float, calls: int) -> list[Section]:
    """Measure everything below `folder`; the summary comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    gate, policy = door.measure(folder, clock, calls=calls)
    sustained, best = door_threads.measure(folder, clock, seconds)
    (folder / "chain").mkdir()
    sections = [gate, policy, sustained, door_chain.measure(folder / "chain", clock, records)]
    return [*sections, summary({section.name: section for section in sections}, best)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m evals.door_bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--records", type=int, default=door_chain.RECORDS, help="records of the chain that is verified")
    parser.add_argument("--seconds", type=float, default=door_threads.SECONDS, help="of each sustained run")
    parser.add_argument("--calls", type=int, default=door.CALLS, help="calls that are timed one by one")
    given = parser.parse_args(arguments)
    told, clock = console(to_stderr=given.json), SystemClock()
    with tempfile.TemporaryDirectory(prefix="evercrew-bench-") as scratch:
        found = measured(Path(scratch), clock, records=given.records, seconds=given.seconds, calls=given.calls)
    for section in found:
        told.print(section.table())
    if given.json:
        sys.stdout.write(json.dumps({section.name: section.plain() for section in found}, indent=2) + "\n")
    return 1 if any(row["met"] == "NO" for row in found[-1].rows) else 0


if __name__ == "__main__":
    sys.exit(main())
