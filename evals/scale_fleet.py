"""The fleet of the scale bench: executor processes that work cycles, one of them killed every few seconds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from adapters.audit.postgresql import PostgresAudit
from adapters.database import Database
from adapters.inbox.sqlalchemy import SqlInbox
from adapters.store.sqlalchemy import SqlStore
from cycles.intake import accept
from domain.clock import SystemClock
from domain.cycle import Cycle
from domain.receipt import AuditRecord, RecordKind
from evals.scale_sites import routing, site
from testbed.sites import SiteRows


@dataclass(frozen=True)
class Fairness:
    """How one target fared: cycles, and seconds from acceptance to the end, in the middle and at most."""

    cycles: int
    median_s: float
    longest_s: float


@dataclass(frozen=True)
class FleetResult:
    """What came of it."""

    cycles: int
    ended: int
    in_flight: int
    kills: int
    seconds: float
    cpu_s: float
    bytes_: int
    effects: int
    duplicates: list[str]
    lost: list[str]
    unverified: list[str]
    records: int
    ends_told_twice: int
    fairness: Mapping[str, Fairness] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every cycle ended verified, and every effect was made once."""
        return not (self.duplicates or self.lost or self.unverified)


class Fleet:
    """Executor processes by name; each is started again as soon as it was killed."""

    def __init__(self, url: str, folder: Path, *, size: int, slots: int, ttl: timedelta) -> None:
        self._folder = folder
        self._words = (url, str(folder), str(slots), str(ttl.total_seconds()))
        self._running = {f"executor-{number + 1}": self._started(f"executor-{number + 1}") for number in range(size)}
        self.kills = 0

    @property
    def ready(self) -> bool:
        """Whether all of them have started: on a busy machine that takes longer than a few seconds."""
        return all("ready" in self._output(name).read_text(encoding="utf-8") for name in self._running)

    def kill_one(self) -> None:
        """Kill the next in turn, as ``kill -9`` does, and start it again under its name."""
        name = sorted(self._running)[self.kills % len(self._running)]
        process = self._running[name]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self._running[name] = self._started(name)
        self.kills += 1

    def stop(self) -> float:
        """Stop all in order, and return the seconds of processor they used."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            process.wait(60)
        told = "\n".join(self._output(name).read_text(encoding="utf-8") for name in self._running)
        return sum(float(line.split()[1]) for line in told.splitlines() if line.startswith("cpu "))

    def abandon(self) -> str:
        """Kill what still runs, and return the last of what the executors complained about."""
        for process in self._running.values():
            process.kill()
            process.wait()
        return "\n".join(log.read_text(encoding="utf-8")[-2000:] for log in sorted(self._folder.glob("*.log")))

    def _output(self, name: str) -> Path:
        return self._folder / f"{name}.out"

    def _started(self, name: str) -> subprocess.Popen[bytes]:
        url, folder, slots, ttl = self._words
        words = [sys.executable, "-m", "evals.scale_executor", url, name, folder, slots, ttl]
        with self._output(name).open("w") as out, (self._folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(words, stdout=out, stderr=log)


def run(
    url: str,
    *,
    cycles: int,
    targets: int,
    executors: int = 3,
    slots: int = 8,
    kill_every: float = 6.0,
    patience: float = 200.0,
    ttl: timedelta = timedelta(seconds=3),
) -> FleetResult:
    """Accept an alert for every cycle at once, let the fleet work them, and count what came of it.

    A quarter of the alerts are about the first target: it must not keep the others waiting.
    """
    clock, database = SystemClock(), Database(url)
    rows = SiteRows(url)
    rows.make()
    store, wanted = SqlStore(database), _sites(cycles, targets)
    before = rows.size()
    with tempfile.TemporaryDirectory(prefix="evercrew-fleet-") as scratch:
        fleet = Fleet(url, Path(scratch), size=executors, slots=slots, ttl=ttl)
        try:
            started = clock.monotonic()
            _accept(database, wanted, targets)
            in_flight = _watched(store, fleet, cycles, kill_every, started + patience)
            seconds = clock.monotonic() - started
            cpu = fleet.stop()
        finally:
            said = fleet.abandon()
    found = store.cycles(limit=10 * cycles + 100)
    result = _counted(url, rows, found, wanted, fleet.kills, seconds, cpu, in_flight, rows.size() - before)
    rows.close()
    database.close()
    if not result.ok:
        sys.stderr.write(said)
    return result


def _sites(cycles: int, targets: int) -> list[str]:
    first = max(cycles // 4, 1) if targets > 1 else cycles
    names = [site(0, part) for part in range(first)]
    others = cycles - first
    return names + [site(1 + number % (targets - 1), number // (targets - 1)) for number in range(others)]


def _accept(database: Database, wanted: Sequence[str], targets: int) -> None:
    clock, inbox = SystemClock(), SqlInbox(database, SystemClock())
    rules = routing(targets, len(wanted))
    for number, name in enumerate(wanted):
        labels = {"alertname": "SlowSearch", "signal": "latency_p95_ms", "target": name, "environment": "dev"}
        start = clock.now().isoformat()
        alert = {"status": "firing", "labels": labels, "startsAt": start, "fingerprint": f"{number:016x}"}
        accept(json.dumps({"version": "4", "receiver": "evercrew", "alerts": [alert]}), rules, inbox)


def _watched(store: SqlStore, fleet: Fleet, cycles: int, kill_every: float, deadline: float) -> int:
    """Kill one every few seconds until all have ended; return how many were open at once at most."""
    clock, most = SystemClock(), 0
    next_kill = clock.monotonic() + kill_every if kill_every else float("inf")
    while not fleet.ready and clock.monotonic() < deadline:
        clock.sleep(timedelta(milliseconds=200))
    while clock.monotonic() < deadline:
        opened = store.cycles(open_only=True, limit=10 * cycles)
        most = max(most, len(opened))
        if not opened and len(store.cycles(limit=10 * cycles)) >= cycles:
            break
        if clock.monotonic() >= next_kill and fleet.ready:
            fleet.kill_one()
            next_kill = clock.monotonic() + kill_every
        clock.sleep(timedelta(milliseconds=500))
    return most


def _counted(
    url: str,
    rows: SiteRows,
    found: Sequence[Cycle],
    wanted: Sequence[str],
    kills: int,
    seconds: float,
    cpu: float,
    in_flight: int,
    grown: int,
) -> FleetResult:
    audit = PostgresAudit(url, SystemClock())
    length, records = audit.verify(), audit.records()
    audit.close()
    by_site = Counter(cycle.target for cycle in found)
    ended = [cycle for cycle in found if cycle.stage.terminal]
    doubled = [f"{name}: {count} cycles" for name, count in by_site.items() if count > 1]
    twice, effects = _effects(rows, records)
    ends = Counter(r.entry.cycle_id for r in records if _is_end(r))
    return FleetResult(
        cycles=len(found),
        ended=len(ended),
        in_flight=in_flight,
        kills=kills,
        seconds=seconds,
        cpu_s=cpu,
        bytes_=grown,
        effects=effects,
        duplicates=doubled + twice,
        lost=sorted(set(wanted) - {cycle.target for cycle in ended}),
        unverified=[f"{c.id}: {c.outcome} {c.reason}" for c in ended if not (c.outcome and c.outcome.verified)],
        records=length,
        ends_told_twice=sum(1 for count in ends.values() if count > 1),
        fairness=_fairness(ended),
    )


def _effects(rows: SiteRows, records: Sequence[AuditRecord]) -> tuple[list[str], int]:
    """Effects that were made twice: by key in the systems and in the chain, and by site."""
    twice: list[str] = []
    commits = [(row.site, row.key) for row in rows.commits()]
    messages = rows.messages()
    for what, made in (("commit", commits), ("message", messages)):
        for place in (0, 1):
            counted = Counter(row[place] for row in made)
            twice += [f"{what} {name}: {count} times" for name, count in counted.items() if count > 1]
    done = Counter(r.entry.key for r in records if r.entry.kind is RecordKind.OUTCOME and r.entry.status == "done")
    twice += [f"outcome {key}: {count} times" for key, count in done.items() if count > 1]
    return twice, len(commits) + len(messages)


def _is_end(record: AuditRecord) -> bool:
    ends = ("done", "stopped", "cancelled")
    return record.entry.kind is RecordKind.TRANSITION and record.entry.status in ends


def _fairness(ended: Sequence[Cycle]) -> dict[str, Fairness]:
    waits: dict[str, list[float]] = defaultdict(list)
    for cycle in ended:
        waits[cycle.target.partition("/")[0]].append((cycle.updated_at - cycle.alert.starts_at).total_seconds())
    return {name: Fairness(len(some), sorted(some)[len(some) // 2], max(some)) for name, some in sorted(waits.items())}
