"""An alert is never lost: `evercrew serve` is killed at random under a stream of webhooks from senders that retry.

A sender tells of its incidents in order, and sends a body again until it is answered 2xx, as Alertmanager does. What
has to hold is read from the database afterwards: every body that was answered is there, every letter was settled, and
each incident has led to exactly one cycle.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from adapters.database import Database
from adapters.inbox.base import Fate
from adapters.inbox.sqlalchemy import SqlInbox
from adapters.store.sqlalchemy import SqlStore
from domain.clock import SystemClock
from domain.errors import EvercrewError
from evals.serve_site import TOKEN, Served, write_site

SENDERS = 8
_PAUSE = timedelta(milliseconds=150)
_TOLD = 5  # times an incident is told of
_LED = (Fate.OPENED.value, Fate.JOINED.value)


@dataclass(frozen=True)
class KillResult:
    """What came of it; `lost`, `without`, `doubled` and `open` have to be empty or zero."""

    webhooks: int
    answered: int
    attempts: int
    kills: int
    seconds: float
    incidents: int
    cycles: int
    lost: list[str]
    without: list[str]
    doubled: list[str]
    open: int
    waiting: int
    fates: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing was lost and each incident has its one cycle."""
        clean = not (self.lost or self.without or self.doubled or self.open or self.waiting)
        return clean and self.answered == self.webhooks and self.kills > 0


class Senders:
    """Threads that send, each its own incidents in order, until every body was answered."""

    def __init__(self, url: str, webhooks: int, *, rate: float) -> None:
        self.answered: set[str] = set()
        self.attempts = 0
        self._url = url
        self._lock = threading.Lock()
        self._give_up = threading.Event()
        self._pause = SENDERS / rate
        start = SystemClock().now()
        bodies = _bodies(webhooks, start)
        self.incidents = len({fingerprint for _, fingerprint, _ in bodies})
        shares = [[body for body in bodies if hash_of(body[1]) % SENDERS == n] for n in range(SENDERS)]
        self._threads = [threading.Thread(target=self._send, args=(share,), daemon=True) for share in shares]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def busy(self) -> bool:
        """Whether one of them still sends."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Give up."""
        self._give_up.set()
        for thread in self._threads:
            thread.join(10)

    def _send(self, share: Sequence[tuple[str, str, bytes]]) -> None:
        clock = SystemClock()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        with httpx.Client(headers=headers, timeout=5) as client:
            for number, _, body in share:
                answered = False
                while not (answered or self._give_up.is_set()):
                    answered = self._sent(client, body)
                    with self._lock:
                        self.attempts += 1
                        self.answered.update({number} if answered else ())
                    clock.sleep(timedelta(seconds=self._pause) if answered else _PAUSE)

    def _sent(self, client: httpx.Client, body: bytes) -> bool:
        try:
            return client.post(f"{self._url}/webhooks/alertmanager", content=body).is_success
        except httpx.TransportError:
            return False


def hash_of(name: str) -> int:
    """Return a number of a name that is the same in every process."""
    return int(name, 16)


def run(
    folder: Path,
    *,
    webhooks: int = 5000,
    rate: float = 100.0,
    kill_every: tuple[float, float] = (1.0, 6.0),
    most_kills: int = 1000,
    seed: int = 1,
    patience: timedelta = timedelta(seconds=1800),
    urls: Mapping[str, str] | None = None,
) -> KillResult:
    """Send the stream, kill the service at random, and count what came of it.

    Args:
        rate: webhooks a second, over all senders. kill_every: seconds it lives at least and at most.
        urls: `store_url`, `workflow_url` and `audit_url` of a PostgreSQL; else SQLite.
    """
    clock, dice = SystemClock(), random.Random(seed)
    config = write_site(folder, urls)
    served = Served(config)
    served.start()
    served.ready()
    url = (urls or {}).get("store_url") or f"sqlite:///{folder}/state/evercrew.db"
    senders, kills = Senders(served.url, webhooks, rate=rate), 0
    started = clock.monotonic()
    until = started + patience.total_seconds()
    try:
        first_cycle(served.url, url, until)
        senders.start()
        while senders.busy() and clock.monotonic() < until:
            clock.sleep(timedelta(seconds=dice.uniform(*kill_every)))
            if senders.busy() and kills < most_kills:
                served.kill()
                kills += 1
                served.start()
                served.ready()
        senders.stop()
        _drained(url, until)
        seconds = clock.monotonic() - started
        code = served.stop()
    finally:
        served.kill()
    if code != 0:
        raise EvercrewError(f"the service ended with {code}: {served.log[-2000:]}")
    return _counted(url, senders, webhooks, kills, seconds)


def first_cycle(service: str, database: str, until: float) -> None:
    """Let the one cycle that the day has room for come and go: those after it end at once."""
    body = _body("first", "f" * 16, SystemClock().now())
    headers = {"Authorization": f"Bearer {TOKEN}"}
    httpx.post(f"{service}/webhooks/alertmanager", content=body, headers=headers, timeout=20).raise_for_status()
    _drained(database, until)


def _bodies(webhooks: int, start: datetime) -> list[tuple[str, str, bytes]]:
    """Return (number, fingerprint, body), those of one incident in the order they have to be told in."""
    made: list[tuple[str, str, bytes]] = []
    for number in range(webhooks):
        fingerprint = f"{number // _TOLD:016x}"
        made.append((f"w{number}", fingerprint, _body(f"w{number}", fingerprint, start)))
    return made


def _body(number: str, fingerprint: str, start: datetime) -> bytes:
    labels = {"alertname": "SlowSearch", "signal": "latency_p95_ms", "webhook": number}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "p95 is above its limit"},
        "startsAt": start.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": fingerprint,
    }
    body = {"version": "4", "receiver": "evercrew", "groupKey": "{}", "truncatedAlerts": 0, "alerts": [alert]}
    return json.dumps(body).encode()


def _drained(url: str, until: float) -> None:
    """Wait until nothing waits and no cycle is open."""
    clock, database = SystemClock(), Database(url)
    inbox, store = SqlInbox(database, clock), SqlStore(database)
    try:
        while clock.monotonic() < until:
            if not inbox.counts().waiting and not store.cycles(open_only=True, limit=1):
                return
            clock.sleep(timedelta(milliseconds=250))
    finally:
        database.close()


def _counted(url: str, senders: Senders, webhooks: int, kills: int, seconds: float) -> KillResult:
    database = Database(url)
    inbox, store = SqlInbox(database, SystemClock()), SqlStore(database)
    counts, cycles = inbox.counts(), {cycle.id: cycle for cycle in store.cycles(limit=1_000_000)}
    there: set[str] = set()
    led: dict[str, set[str]] = defaultdict(set)
    opened: Counter[str] = Counter()
    for letter, fate, cycle_id in inbox.settled():
        alert = letter.alert
        there.add(alert.labels["webhook"])
        led[alert.fingerprint].update({cycle_id} if fate in _LED else ())
        opened[alert.fingerprint] += fate == Fate.OPENED.value
    database.close()
    told = Counter(cycle.alert.fingerprint for cycle in cycles.values())
    return KillResult(
        webhooks=webhooks,
        answered=len(senders.answered),
        attempts=senders.attempts,
        kills=kills,
        seconds=seconds,
        incidents=senders.incidents,
        cycles=len(cycles),
        lost=sorted(senders.answered - there),
        without=sorted(name for name, ids in led.items() if not ids or not ids <= cycles.keys()),
        doubled=sorted(name for name, ids in led.items() if len(ids) > 1 or opened[name] > 1 or told[name] > 1),
        open=sum(not cycle.stage.terminal for cycle in cycles.values()),
        waiting=counts.waiting,
        fates={fate.value: count for fate, count in sorted(counts.settled.items())},
    )
