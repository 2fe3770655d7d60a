"""The alert storm of the scale bench: bodies through the inbox and intake, from several processes at once."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.synchronize import Event
from typing import Any

from adapters.database import Database
from adapters.inbox.base import Fate
from adapters.inbox.sqlalchemy import SqlInbox
from adapters.store.sqlalchemy import SqlStore
from cycles.intake import accept, take_turn
from domain.clock import SystemClock
from domain.cycle import Cycle
from domain.stage import Stage
from evals.scale_bodies import Storm, opens, storm
from evals.scale_sites import routing

THREADS = 12
SENDERS = 2


@dataclass(frozen=True)
class StormResult:
    """What came of it; `missing` and `doubled` have to be empty, and `lost` zero."""

    bodies: int
    alerts: int
    accepted: int
    seconds: float
    handled_s: float
    p50_ms: float
    p95_ms: float
    lost: int
    missing: list[str]
    doubled: list[str]
    cycles: int
    incidents: int
    aside: int
    unfit: int
    held: int
    fates: dict[str, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Alerts durably accepted in a second."""
        return self.accepted / self.seconds if self.seconds else 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing was lost and each incident has its one cycle."""
        return not (self.lost or self.missing or self.doubled) and self.aside == self.unfit


def run(url: str, *, bodies: int, targets: int, incidents: int, seed: int) -> StormResult:
    """Send the storm while it is being taken, and count."""
    made = storm(bodies, targets=targets, incidents=incidents, seed=seed)
    parts = -(-incidents // targets)
    Database(url).close()  # makes the tables
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    ready, sent = context.Barrier(SENDERS + 2), context.Event()
    shares = [made.bodies[number::SENDERS] for number in range(SENDERS)]
    senders = [
        context.Process(target=_send, args=(url, share, targets, parts, ready, told), daemon=True) for share in shares
    ]
    taker = context.Process(target=_take, args=(url, ready, sent, told), daemon=True)
    clock = SystemClock()
    for process in (*senders, taker):
        process.start()
    ready.wait(120)
    started = clock.monotonic()
    answers = [told.get(timeout=600) for _ in senders]
    seconds = clock.monotonic() - started
    sent.set()
    told.get(timeout=600)
    handled_s = clock.monotonic() - started
    for process in (*senders, taker):
        process.join(30)
    accepted = sum(answer["accepted"] for answer in answers)
    waits = sorted(wait for answer in answers for wait in answer["waits"])
    return _counted(url, made, accepted, seconds, handled_s, waits)


def _send(url: str, bodies: Sequence[str], targets: int, parts: int, ready: Any, told: Any) -> None:
    """Accept bodies in many threads, as an HTTP server would."""
    clock, database = SystemClock(), Database(url)
    inbox, rules = SqlInbox(database, clock, limit=10_000_000), routing(targets, parts)
    accepted, waits, lock = [0], list[float](), threading.Lock()

    def work(share: Sequence[str]) -> None:
        for body in share:
            before = clock.monotonic()
            receipt = accept(body, rules, inbox)
            wait = clock.monotonic() - before
            with lock:
                accepted[0] += receipt.accepted
                waits.append(wait)

    threads = [threading.Thread(target=work, args=(bodies[number::THREADS],)) for number in range(THREADS)]
    ready.wait(120)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.put({"accepted": accepted[0], "waits": waits})
    database.close()


def _take(url: str, ready: Any, sent: Event, told: Any) -> None:
    """Take turns until everything that was sent is settled or held; every third cycle ends on the way."""
    clock, database = SystemClock(), Database(url)
    inbox, store = SqlInbox(database, clock), SqlStore(database)
    ready.wait(120)
    opened = 0
    while True:
        over = sent.is_set()
        turn = take_turn(inbox, clock)
        if turn is None:
            if over:
                break
            sent.wait(0.02)
            continue
        for cycle_id in turn.opened:
            opened += 1
            cycle = store.cycle(cycle_id)
            if cycle is not None and opened % 3 == 0:
                store.save(cycle.model_copy(update={"stage": Stage.STOPPED}))
    told.put("done")
    database.close()


def _counted(
    url: str,
    made: Storm,
    accepted: int,
    seconds: float,
    handled_s: float,
    waits: Sequence[float],
) -> StormResult:
    database = Database(url)
    inbox = SqlInbox(database, SystemClock())
    counts = inbox.counts()
    letters: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for letter in inbox.letters():
        letters[letter.alert.fingerprint].append((letter.alert.status.value, letter.alert.starts_at))
    cycles: Sequence[Cycle] = SqlStore(database).cycles(limit=10_000_000)
    database.close()
    led = Counter(cycle.alert.fingerprint for cycle in cycles)
    settled = sum(counts.settled.values())
    kept = sum(map(len, letters.values()))
    return StormResult(
        bodies=len(made.bodies),
        alerts=made.alerts,
        accepted=accepted,
        seconds=seconds,
        handled_s=handled_s,
        p50_ms=1000 * waits[len(waits) // 2],
        p95_ms=1000 * waits[int(len(waits) * 0.95)],
        lost=(made.alerts - accepted) + (accepted - kept) + (kept - settled - counts.waiting),
        missing=sorted(name for name, told in letters.items() if opens(told) and not led[name]),
        doubled=sorted(name for name, count in led.items() if count > 1 or not opens(letters[name])),
        cycles=len(cycles),
        incidents=len(letters),
        aside=counts.aside - counts.settled.get(Fate.POISON, 0),
        unfit=made.unfit,
        held=counts.waiting,
        fates={fate.value: count for fate, count in sorted(counts.settled.items())},
    )
