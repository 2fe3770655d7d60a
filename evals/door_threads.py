"""How many calls a second go through the door for good: threads that ask at once, one chain, shared flushes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from adapters.audit.chain import Prepared
from adapters.audit.sqlite import SqliteAudit
from domain.clock import Clock, SystemClock
from domain.receipt import AuditRecord
from evals.door import ACTOR, CALLS_A_CYCLE, LINE, Door
from evals.sections import Section
from tools.outcome import Done

SECONDS = 4.0
THREADS = (1, 16, 48)
PROCESSES, THREADS_EACH = 2, 16
GOAL_PER_SECOND = 1000
READ, EFFECT = "metric_query", "notify"


class CountingAudit(SqliteAudit):
    """The real chain; counts its flushes."""

    flushes = 0

    def _commit(self, entries: Sequence[Prepared]) -> list[AuditRecord]:
        self.flushes += 1
        return super()._commit(entries)


@dataclass
class Run:
    """Threads that call one tool until the time is over."""

    door: Door
    tool: str
    until: float
    done: int = 0
    refused: list[str] = field(default_factory=list)
    counting: threading.Lock = field(default_factory=threading.Lock)

    def all(self, count: int) -> int:
        """Call from so many threads; return how many calls were let through.

        Raises:
            ValueError: one was not.
        """
        workers = [threading.Thread(target=self.work) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self.refused:
            raise ValueError(f"a call that should be let through was answered {self.refused[0]}")
        return self.done

    def work(self) -> None:
        """Call, a cycle at a time."""
        number, clock = 0, self.door.clock
        while clock.monotonic() < self.until:
            with self.counting:
                scope = self.door.scope()
            for _ in range(CALLS_A_CYCLE):
                number += 1
                outcome = self.door.gate.call(self.tool, {"number": number}, ACTOR, scope)
                if clock.monotonic() >= self.until:
                    return
                with self.counting:
                    if isinstance(outcome, Done):
                        self.done += 1
                    else:
                        self.refused.append(str(outcome))


def measure(
    folder: Path, clock: Clock, seconds: float = SECONDS, threads: Sequence[int] = THREADS
) -> tuple[Section, float]:
    """Return the table, and the best rate of effects (calls a second).

    Raises:
        ValueError: a call that should be let through was not.
    """
    rows: list[dict[str, str | float | int | None]] = []
    best = 0.0
    for tool in (READ, EFFECT):
        for count in threads:
            rate, flushes = _rate(folder / f"{tool}-{count}", clock, tool, count, seconds)
            best = max(best, rate if tool == EFFECT else 0.0)
            name = "reads" if tool == READ else "effects"
            rows.append({"calls": f"{name}, {count} threads", "a second": rate, "calls a flush of the chain": flushes})
    together = _processes(folder / "processes", clock, seconds)
    best = max(best, together)
    name = f"effects, {PROCESSES} processes of {THREADS_EACH} threads, one chain and store"
    rows.append({"calls": name, "a second": together, "calls a flush of the chain": None})
    floor = _flushes(folder, clock, seconds / 2)
    rows.append(
        {"calls": "floor: one flushed write after another", "a second": floor, "calls a flush of the chain": 1.0}
    )
    note = (
        f"{seconds:g} s each; real policies, chain and store on SQLite; an effect is two records in the chain and one "
        f"in the store; {os.cpu_count()} cores"
    )
    return Section("sustained", "gated calls, sustained", rows, note), best


def _rate(folder: Path, clock: Clock, tool: str, count: int, seconds: float) -> tuple[float, float]:
    audits: list[CountingAudit] = []

    def counting(path: Path) -> CountingAudit:
        audits.append(CountingAudit(path, clock))
        return audits[0]

    door = Door(folder, clock, chain=counting)
    with door.closing:
        begun = clock.monotonic()
        done = Run(door, tool, begun + seconds).all(count)
        return done / seconds, done / audits[0].flushes


def _processes(folder: Path, clock: Clock, seconds: float) -> float:
    """Return the effects a second of several processes on one chain, each with a door of its own."""
    Door(folder, clock).closing.close()
    spawn = multiprocessing.get_context("spawn")
    start, counts = spawn.Barrier(PROCESSES), spawn.Queue()
    workers = [
        spawn.Process(target=_process, args=(folder, f"worker-{number}", seconds, start, counts))
        for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise ValueError("a process that calls through the door has failed")
    done: int = sum(counts.get() for _ in workers)
    return done / seconds


def _process(folder: Path, name: str, seconds: float, start: Barrier, counts: Queue[int]) -> None:
    clock = SystemClock()
    door = Door(folder, clock, name=name)
    with door.closing:
        start.wait(60)
        run = Run(door, EFFECT, clock.monotonic() + seconds)
        counts.put(run.all(THREADS_EACH))


def _flushes(folder: Path, clock: Clock, seconds: float) -> float:
    done, until = 0, clock.monotonic() + seconds
    with (folder / "flushed").open("ab") as file:
        while clock.monotonic() < until:
            os.write(file.fileno(), LINE)
            os.fsync(file.fileno())
            done += 1
    return done / seconds
