"""Scale: an alert storm through the inbox, and a fleet of executors on one PostgreSQL, one killed every few seconds.

`python -m evals.scale [--postgres URL] [--cycles 200] [--bodies 20000] [--curve FILE] [--json]`. Ends with 1 when
anything was lost or made twice. Without a URL it starts a PostgreSQL of its own, with its flushes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from domain.clock import SystemClock
from evals import scale_curve, scale_fleet, scale_storm
from evals.scale_fleet import FleetResult
from evals.scale_storm import StormResult
from evals.tables import console
from testbed.servers.base import ServerError
from testbed.servers.postgres import fresh_database, own_server

GOAL = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 0 when nothing was lost and nothing made twice, 3 when there is no server."""
    given = _arguments(arguments)
    told, clock = console(to_stderr=given.json), SystemClock()
    started = clock.monotonic()
    plain: dict[str, object] = {}
    try:
        if given.postgres is None:
            with own_server() as server:
                good = _measured(given, server, told, plain)
        else:
            good = _measured(given, given.postgres, told, plain)
    except ServerError as problem:
        sys.stderr.write(f"{problem}\n")
        return 3
    plain["seconds"] = clock.monotonic() - started
    told.print(f"measured in {plain['seconds']:.0f} s; {'nothing lost, nothing twice' if good else 'NOT CLEAN'}")
    if given.json:
        sys.stdout.write(json.dumps({**plain, "ok": good}, indent=2) + "\n")
    return 0 if good else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evals.scale", description=__doc__)
    parser.add_argument("--postgres", help="a server to make databases on (default: one of its own)")
    parser.add_argument("--cycles", type=int, default=200, help="cycles in flight; 0 leaves the fleet out")
    parser.add_argument("--targets", type=int, default=20, help="targets; a quarter of the cycles are the first one's")
    parser.add_argument("--executors", type=int, default=3, help="executor processes")
    parser.add_argument("--slots", type=int, default=8, help="cycles an executor works on at once")
    parser.add_argument("--kill-every", type=float, default=8.0, help="seconds between kills; 0 kills none")
    parser.add_argument("--patience", type=float, default=200.0, help="seconds after which what is open is lost")
    parser.add_argument("--bodies", type=int, default=20_000, help="webhook bodies; 0 leaves the storm out")
    parser.add_argument("--incidents", type=int, default=400, help="incidents the storm is about")
    parser.add_argument("--seed", type=int, default=1, help="seed of the storm")
    parser.add_argument("--curve", type=Path, help="draw seconds and bytes a cycle at several sizes into this SVG")
    parser.add_argument("--sizes", default="25,50,100,200", help="the sizes of the curve")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def _measured(given: argparse.Namespace, server: str, told: Console, plain: dict[str, object]) -> bool:
    good = True
    if given.curve is not None:
        sizes = [int(size) for size in given.sizes.split(",")]
        points = [scale_curve.point(server, size, given.targets, given.slots) for size in sizes]
        scale_curve.draw(points, given.curve)
        told.print(_curve(points))
        plain["curve"] = [asdict(point) for point in points]
        return all(point.ok for point in points)
    if given.bodies:
        with fresh_database(server) as url:
            storm = scale_storm.run(
                url, bodies=given.bodies, targets=given.targets, incidents=given.incidents, seed=given.seed
            )
        told.print(_storm(storm))
        plain["storm"] = {**asdict(storm), "alerts_per_second": storm.per_second, "ok": storm.ok}
        good = good and storm.ok
    if given.cycles:
        with fresh_database(server) as url:
            fleet = scale_fleet.run(
                url,
                cycles=given.cycles,
                targets=given.targets,
                executors=given.executors,
                slots=given.slots,
                kill_every=given.kill_every,
                patience=given.patience,
            )
        told.print(_fleet(fleet))
        plain["fleet"] = {**asdict(fleet), "ok": fleet.ok}
        good = good and fleet.ok
    return good


def _storm(result: StormResult) -> Table:
    table = _table("Alert storm through the inbox")
    met = "" if result.per_second >= GOAL else f" (below the goal of {GOAL:,})"
    rows = {
        "webhook bodies, alerts in them": f"{result.bodies:,}, {result.alerts:,}",
        "alerts durably accepted a second": f"{result.per_second:,.0f}{met}",
        "a body accepted in (p50, p95)": f"{result.p50_ms:.1f} ms, {result.p95_ms:.1f} ms",
        "all handled after": f"{result.handled_s:.1f} s ({result.accepted / result.handled_s:,.0f} alerts a second)",
        "lost": str(result.lost),
        "incidents, cycles": f"{result.incidents}, {result.cycles}",
        "incidents without the cycle they need": str(len(result.missing)),
        "incidents with a cycle too many": str(len(result.doubled)),
        "unfit, kept aside": f"{result.unfit}, {result.aside}",
        "held for their window": str(result.held),
        **{f"fate: {fate}": f"{count:,}" for fate, count in result.fates.items()},
    }
    return _filled(table, rows)


def _fleet(result: FleetResult) -> Table:
    table = _table("Cycles on three executors, one killed every few seconds")
    waits = result.fairness
    first = waits.get("target-00")
    others = [fair.median_s for name, fair in waits.items() if name != "target-00"]
    rows = {
        "cycles, ended": f"{result.cycles}, {result.ended}",
        "open at once, at most": str(result.in_flight),
        "executors killed": str(result.kills),
        "seconds": f"{result.seconds:.1f}",
        "lost": f"{len(result.lost)} {', '.join(result.lost[:3])}".strip(),
        "not verified": f"{len(result.unverified)} {'; '.join(result.unverified[:3])}".strip(),
        "effects, made twice": f"{result.effects}, {len(result.duplicates)} {'; '.join(result.duplicates[:3])}".strip(),
        "records in the audit chain, verified": f"{result.records:,}",
        "ends that a restart told twice": str(result.ends_told_twice),
    }
    if first and others:
        rows[f"median to the end, the target with {first.cycles} cycles"] = f"{first.median_s:.1f} s"
        rows["median to the end, other targets (best, worst)"] = f"{min(others):.1f} s, {max(others):.1f} s"
    return _filled(table, rows)


def _curve(points: Sequence[scale_curve.CurvePoint]) -> Table:
    table = Table("cycles", "seconds of processor a cycle", "KiB a cycle", "seconds", title="Cost by size")
    for point in points:
        cost = f"{point.cpu_s / point.cycles:.3f}"
        table.add_row(str(point.cycles), cost, f"{point.bytes_ / point.cycles / 1024:.1f}", f"{point.seconds:.0f}")
    return table


def _table(title: str) -> Table:
    return Table("what", "figure", title=title, title_justify="left")


def _filled(table: Table, rows: dict[str, str]) -> Table:
    for name, value in rows.items():
        table.add_row(name, value)
    return table


if __name__ == "__main__":
    sys.exit(main())
