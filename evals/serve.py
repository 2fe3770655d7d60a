"""What `evercrew serve` does in a second: webhooks durably accepted, beside the floor of what it is built on.

`python -m evals.serve [--seconds 8] [--connections 32] [--kill WEBHOOKS] [--json]`. In one run, on one machine, with
one sender: the real command; the same uvicorn and FastAPI answering 200 to the same bodies without any work; and a bare
flush of a row to the same disk. Then pages of the console, and the time from an alert to a listener. Ends with 1 when a
webhook was not accepted, or when what was accepted is not there afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.table import Table

from adapters.database import Database
from adapters.inbox.sqlalchemy import SqlInbox
from domain.clock import SystemClock
from evals import serve_kill
from evals.serve_load import Load, load, median_ms
from evals.serve_pages import Pages, pages
from evals.serve_site import Served, processor_s, write_site
from evals.tables import console
from testbed.servers.base import free_port

SECRET = "bench-secret-of-signers"
_PATIENCE_S = 180.0


@dataclass(frozen=True)
class ServeResult:
    """What was measured. `flush_ms` is the median of one bare flush; `kept` says that all accepted is on disk.

    `alone` is the command without a worker beside it, which takes alerts and nothing more; `accepted` is the whole. The
    `..._cpu_ms` are ms of processor that the server used for a webhook: unlike the rates they hardly depend on what
    else the machine does.
    """

    cpu_ms: float
    alone_cpu_ms: float
    floor_cpu_ms: float
    alone: Load
    accepted: Load
    signed: Load
    floor: Load
    flush_ms: float
    flushes_per_second: float
    kept: bool
    start_s: float
    pages: Pages = field(default_factory=Pages)
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)

    @property
    def ok(self) -> bool:
        """Whether every webhook was accepted, and is there."""
        return self.kept and not any(of.failed for of in (self.alone, self.accepted, self.signed))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when all is well."""
    given = _arguments(arguments)
    told = console(to_stderr=given.json)
    with tempfile.TemporaryDirectory(prefix="evercrew-serve-") as scratch:
        if given.kill:
            return _killed(given, Path(scratch))
        found = measure(Path(scratch), seconds=given.seconds, connections=given.connections)
    told.print(_table(found))
    if given.json:
        sys.stdout.write(json.dumps({**asdict(found), "ok": found.ok}, indent=2) + "\n")
    return 0 if found.ok else 1


def measure(folder: Path, *, seconds: float = 8.0, connections: int = 32) -> ServeResult:
    """Return what one run measures, in a folder of its own."""
    clock = SystemClock()
    flush_ms, flushes = _bare_flush(folder / "bare.db", seconds=min(seconds, 2.0))
    floor, floor_cpu_ms = _floor(seconds, connections)
    alone, alone_cpu_ms = _alone(folder / "alone", seconds, connections)
    served = Served(write_site(folder / "site"), settings={"EVERCREW_WEBHOOK_SECRET": SECRET})
    began = clock.monotonic()
    served.start()
    try:
        served.ready()
        start_s = clock.monotonic() - began
        database = f"sqlite:///{folder}/site/state/evercrew.db"
        serve_kill.first_cycle(served.url, database, clock.monotonic() + _PATIENCE_S)
        served.settle()
        load(served.url, seconds=1.0, connections=connections)  # warm
        before = _letters(folder)
        accepted, cpu_ms = _loaded(served, seconds, connections)
        signed = load(served.url, seconds=seconds / 2, connections=connections, secret=SECRET)
        kept = _letters(folder) - before >= accepted.answered + signed.answered
        seen = pages(served)
        served.stop()
    finally:
        served.kill()
    return ServeResult(
        cpu_ms=cpu_ms,
        alone_cpu_ms=alone_cpu_ms,
        floor_cpu_ms=floor_cpu_ms,
        alone=alone,
        accepted=accepted,
        signed=signed,
        floor=floor,
        flush_ms=flush_ms,
        flushes_per_second=flushes,
        kept=kept,
        start_s=start_s,
        pages=seen,
    )


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evals.serve", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="seconds of each sustained run")
    parser.add_argument("--connections", type=int, default=32, help="connections of the sender")
    parser.add_argument("--kill", type=int, default=0, help="kill the service under so many webhooks instead")
    parser.add_argument("--rate", type=float, default=100.0, help="webhooks a second of that stream")
    parser.add_argument("--postgres", default="", help="a database of a PostgreSQL server for it (default: SQLite)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the kills")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def _killed(given: argparse.Namespace, folder: Path) -> int:
    told = console(to_stderr=given.json)
    urls = dict.fromkeys(("store_url", "workflow_url", "audit_url"), given.postgres) if given.postgres else None
    found = serve_kill.run(folder, webhooks=given.kill, rate=given.rate, seed=given.seed, urls=urls)
    table = Table(title="evercrew serve, killed at random under a stream of webhooks", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    rows = {
        "webhooks answered, of": f"{found.answered:,} of {found.webhooks:,} ({found.attempts:,} attempts)",
        "killed": f"{found.kills} times in {found.seconds:.0f} s",
        "incidents, cycles": f"{found.incidents:,}, {found.cycles:,}",
        "answered and not there": str(len(found.lost)),
        "incidents without a cycle": str(len(found.without)),
        "incidents with more than one": str(len(found.doubled)),
        "still waiting, still open": f"{found.waiting}, {found.open}",
    }
    for row in rows.items():
        table.add_row(*row)
    told.print(table)
    if given.json:
        sys.stdout.write(json.dumps({**asdict(found), "ok": found.ok}, indent=2) + "\n")
    return 0 if found.ok else 1


def _alone(folder: Path, seconds: float, connections: int) -> tuple[Load, float]:
    """The command without a worker, loaded; with ms of processor for each webhook."""
    served = Served(write_site(folder), words=("--no-worker",))
    served.start()
    try:
        served.ready()
        served.settle()
        load(served.url, seconds=1.0, connections=connections)  # warm
        return _loaded(served, seconds, connections)
    finally:
        served.kill()


def _loaded(served: Served, seconds: float, connections: int) -> tuple[Load, float]:
    used = served.processor_s()
    found = load(served.url, seconds=seconds, connections=connections)
    return found, 1000 * (served.processor_s() - used) / max(found.answered, 1)


def _floor(seconds: float, connections: int) -> tuple[Load, float]:
    """The same server and framework in a process of its own, answering the same bodies without any work.

    Returned with ms of processor it used for each.
    """
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "evals.serve_floor", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        load(url, seconds=1.0, connections=connections, wait=True)
        used = processor_s(process.pid)
        found = load(url, seconds=seconds, connections=connections)
        return found, 1000 * (processor_s(process.pid) - used) / max(found.answered, 1)
    finally:
        process.kill()
        process.wait()


def _bare_flush(file: Path, *, seconds: float) -> tuple[float, float]:
    """Write a row of a kilobyte, one flushed transaction each, and return the median in ms and how many a second."""
    clock, waits = SystemClock(), list[float]()
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE rows (body TEXT)")
        until = clock.monotonic() + seconds
        while (began := clock.monotonic()) < until:
            database.execute("INSERT INTO rows VALUES (?)", ("x" * 1000,))
            waits.append(clock.monotonic() - began)
    return median_ms(waits), len(waits) / seconds


def _letters(folder: Path) -> int:
    database = Database(f"sqlite:///{folder}/site/state/evercrew.db")
    try:
        return sum(1 for _ in SqlInbox(database, SystemClock()).letters())
    finally:
        database.close()


def _table(found: ServeResult) -> Table:
    table = Table(title=f"evercrew serve on {found.cores} cores, sender included", title_justify="left")
    for name in ("what", "a second", "p50 ms", "p99 ms", "processor ms"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for name, of, cpu in (
        ("webhooks durably accepted, no worker beside", found.alone, f"{found.alone_cpu_ms:.2f}"),
        ("webhooks durably accepted (bearer)", found.accepted, f"{found.cpu_ms:.2f}"),
        ("webhooks durably accepted (signed)", found.signed, ""),
        ("floor: bare framework answering 200", found.floor, f"{found.floor_cpu_ms:.2f}"),
    ):
        table.add_row(name, f"{of.per_second:,.0f}", f"{of.p50_ms:.1f}", f"{of.p99_ms:.1f}", cpu)
    table.add_row(
        "bare flush of a row, one after the other", f"{found.flushes_per_second:,.0f}", f"{found.flush_ms:.2f}", ""
    )
    for name, milliseconds in found.pages.times_ms.items():
        table.add_row(f"page {name}", "", f"{milliseconds:.1f}", "")
    if found.pages.first_event_ms is not None:
        table.add_row("an alert to the listener's first event", "", f"{found.pages.first_event_ms:.0f}", "")
    table.add_row("start to first answer", "", f"{1000 * found.start_s:,.0f}", "")
    table.add_row("all that was accepted is on disk", "yes" if found.kept else "NO", "", "")
    return table


if __name__ == "__main__":
    sys.exit(main())
