"""A sender that costs little, for benches of servers: HTTP/1.1 over plain sockets, one request a connection at a time.

It runs in a process of its own, for a client in the same interpreter would be what is measured.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from domain.clock import SystemClock
from evals.serve_site import TOKEN
from service.webhooks.proof import signature


@dataclass(frozen=True)
class Load:
    """Requests answered 2xx and not, how many a second, and how long they took."""

    answered: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return self.answered / self.seconds if self.seconds else 0.0


def median_ms(waits: Sequence[float], share: float = 0.5) -> float:
    """Return a quantile of times in seconds, as milliseconds; zero where there are none."""
    return 1000 * sorted(waits)[min(int(len(waits) * share), len(waits) - 1)] if waits else 0.0


def load(url: str, *, seconds: float, connections: int, secret: str = "", wait: bool = False) -> Load:
    """Send for so long, from a process of its own, and return what came of it."""
    words = [url, str(seconds), str(connections), secret, "wait" if wait else ""]
    done = subprocess.run(
        [sys.executable, "-m", "evals.serve_load", *words], capture_output=True, text=True, check=True
    )
    return Load(**json.loads(done.stdout))


class _Sender:
    def __init__(self, url: str, secret: str) -> None:
        parts = urlsplit(url)
        self._place = (str(parts.hostname), int(parts.port or 80))
        self._secret = secret
        self._clock = SystemClock()
        self._start = self._clock.now()
        self.waits: list[float] = []
        self.failed = 0

    async def wait(self) -> None:
        """Wait until somebody listens."""
        for _ in range(600):
            try:
                _, writer = await asyncio.open_connection(*self._place)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return

    async def run(self, name: int, until: float) -> None:
        """Send on one connection until the time is over."""
        reader, writer = await asyncio.open_connection(*self._place)
        turn = 0
        while self._clock.monotonic() < until:
            turn += 1
            writer.write(self._request(f"{name:04x}{turn:012x}"))
            began = self._clock.monotonic()
            if await _status(reader) == 200:
                self.waits.append(self._clock.monotonic() - began)
            else:
                self.failed += 1
        writer.close()

    def _request(self, fingerprint: str) -> bytes:
        alert = {
            "status": "firing",
            "labels": {"alertname": "SlowSearch", "signal": "latency_p95_ms", "severity": "critical", "job": "search"},
            "annotations": {"summary": "p95 is above its limit", "runbook": "https://runbooks.example/latency"},
            "startsAt": self._start.isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example/graph",
            "fingerprint": fingerprint,
        }
        envelope = {"version": "4", "receiver": "evercrew", "groupKey": "{}", "truncatedAlerts": 0}
        body = json.dumps({**envelope, "alerts": [alert]}).encode()
        proof = f"Authorization: Bearer {TOKEN}\r\n"
        if self._secret:
            at = str(int(self._clock.now().timestamp()))
            made = signature(self._secret, at, body)
            proof = f"X-Evercrew-Timestamp: {at}\r\nX-Evercrew-Signature: {made}\r\n"
        head = f"POST /webhooks/alertmanager HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n{proof}\r\n"
        return head.encode() + body


async def _status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
    )
    await reader.readexactly(length)
    return int(head[9:12])


async def _main(url: str, seconds: float, connections: int, secret: str, wait: bool) -> Load:
    sender, clock = _Sender(url, secret), SystemClock()
    if wait:
        await sender.wait()
    began = clock.monotonic()
    await asyncio.gather(*(sender.run(number, began + seconds) for number in range(connections)))
    took = clock.monotonic() - began
    return Load(len(sender.waits), sender.failed, took, median_ms(sender.waits), median_ms(sender.waits, 0.99))


if __name__ == "__main__":
    target, duration, count, key, first = sys.argv[1:6]
    found = asyncio.run(_main(target, float(duration), int(count), key, bool(first)))
    sys.stdout.write(json.dumps(asdict(found)))
