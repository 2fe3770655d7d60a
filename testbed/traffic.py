"""Users of the platform, over HTTP: `python -m testbed.traffic WORLD --url URL`.

Sessions begin at random (Poisson) at the rate of the control file, at most `IN_FLIGHT` at a time. A session
searches, looks at the page, and sends what the user did and said in one request. The process ends when the service
is gone or its time is up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from testbed import clock
from testbed.authors import Authors
from testbed.clicks import ClickOutcome, clicks
from testbed.layout import Layout
from testbed.population import Intent, Population
from testbed.process import end_with_parent
from testbed.universe import Control, Universe
from testbed.wire import ConnectError, Wire

IN_FLIGHT = 8
PAGE = 10
JUDGED_SHARE = 0.9
RATED_SHARE = 0.5
_GONE_AFTER = 25
_HOUSEKEEPING_SECONDS = 0.5
_TIMEOUT_SECONDS = 20.0
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
# A title cut short still says what it stands for when so much of it is left.
TELLING = 40
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
)
# Sessions of one run start at a multiple of this, so that no run repeats the sessions of another.
RUN_STRIDE = 10_000_000


@dataclass
class Report:
    """What the traffic has done: sessions begun, searches or feedback that failed, judgements sent, hard sessions
    sent."""

    sessions: int = 0
    failed: int = 0
    judged: int = 0
    hard: int = 0
    last_error: str = ""


class Traffic:
    """Sends sessions of a population to a service."""

    def __init__(self, layout: Layout, url: str, universe: Universe, first: int) -> None:
        self.report = Report()
        self._layout, self._url, self._universe = layout, url, universe
        self._population: Population = universe.population()
        self._next = first
        self._control = Control.read(layout.traffic)
        self._mix = self._mixed()
        self._titles = {document.id: document.title for document in universe.documents}
        self._authors = Authors(layout, universe, first)
        self._burst_seen = self._control.burst
        self._hard_left = 0
        self._lost = 0
        self._arrivals = np.random.default_rng([universe.seed, first])

    async def run(self, max_seconds: float, patience: float = _START_SECONDS) -> None:
        """Send sessions until the time is up or the service is gone; at the start, wait for it `patience` seconds."""
        until = clock.monotonic() + max_seconds
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with Wire(self._url, _TIMEOUT_SECONDS) as client:
            await _healthy(client, patience)
            async with asyncio.TaskGroup() as group:
                chores = group.create_task(self._housekeeping())
                due = clock.monotonic()
                while clock.monotonic() < until and self._lost < _GONE_AFTER:
                    due = max(due, clock.monotonic() - 1.0) + float(self._arrivals.exponential(1 / self._rate()))
                    await asyncio.sleep(max(0.0, due - clock.monotonic()))
                    await slots.acquire()
                    task = group.create_task(self._session(client))
                    task.add_done_callback(lambda _: slots.release())
                chores.cancel()
        self._write_report()

    def _rate(self) -> float:
        return max(self._control.rate, 0.01)

    async def _session(self, client: Wire) -> None:
        number = self._next
        self._next += 1
        hard = self._hard_left > 0 and number % 2 == 0
        self._hard_left -= hard
        self.report.sessions += 1
        self.report.hard += hard
        rng = np.random.default_rng([self._universe.seed, number, 1])
        intent = self._population.session(number, self._mix, hard=hard)
        try:
            status, page = await client.get("/search", {"q": intent.query, "user_id": intent.user_id, "k": PAGE})
            self._lost = 0
            if status != 200:
                return self._failed(f"/search answered {status}")
            results = page["results"]
            outcome = clicks(intent, [result["id"] for result in results], rng, legible=self._legible(results))
            said = events(page["request_id"], intent, outcome, rng)
            agent = AGENTS[zlib.crc32(intent.user_id.encode()) % len(AGENTS)]
            status = (await client.post("/feedback", said, agent))[0] if said else 200
            if status != 200:
                return self._failed(f"/feedback answered {status}")
        except ConnectError as error:
            self._lost += 1
            return self._failed(f"{type(error).__name__}: {error}")
        self.report.judged += any(event["kind"] == "judgement" for event in said)

    def _legible(self, results: Sequence[dict[str, Any]]) -> bool:
        """Whether most titles of a page still say what they stand for."""
        told = [_says(str(result["title"]), self._titles.get(result["id"], "")) for result in results]
        return not told or sum(told) >= len(told) / 2

    def _failed(self, why: str) -> None:
        self.report.failed += 1
        self.report.last_error = why

    async def _housekeeping(self) -> None:
        while True:
            control = Control.read(self._layout.traffic)
            if control != self._control:
                self._control, self._mix = control, self._mixed(control)
            if control.burst != self._burst_seen:
                self._burst_seen, self._hard_left = control.burst, control.burst_sessions
            self._write_report()
            self._authors.send(self._control.publish, clock.monotonic())
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)

    def _mixed(self, control: Control | None = None) -> dict[str, float]:
        share = (control or self._control).new_share
        return self._population.mix(self._universe.known, self._universe.new, share)

    def _write_report(self) -> None:
        fresh = self._layout.traffic_report.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self.report)), encoding="utf-8")
        fresh.replace(self._layout.traffic_report)


def events(request_id: str, intent: Intent, outcome: ClickOutcome, rng: np.random.Generator) -> list[dict[str, Any]]:
    """What a user sends about a search: every click, and in a share of the sessions a judgement, a rating, a thumb."""
    base = {"request_id": request_id, "user_id": intent.user_id}
    said: list[dict[str, Any]] = [{**base, "kind": "click", "doc_id": doc_id} for doc_id in outcome.clicked]
    if rng.random() < JUDGED_SHARE:
        grade = intent.relevant.get(outcome.judged, 1)
        said.append({**base, "kind": "judgement", "doc_id": outcome.judged, "value": grade})
    if rng.random() < RATED_SHARE:
        said.append({**base, "kind": "rating", "value": outcome.rating})
    if outcome.thumb is not None:
        said.append({**base, "kind": "thumb", "value": outcome.thumb})
    return said


def _says(shown: str, title: str) -> bool:
    return shown == title or len(shown) >= TELLING


async def _healthy(client: Wire, patience: float) -> None:
    """Wait until the service answers, for `patience` seconds at most."""
    until = clock.monotonic() + patience
    while clock.monotonic() < until:
        try:
            if (await client.get("/healthz"))[0] == 200:
                return
        except ConnectError:
            pass
        await asyncio.sleep(_POLL_SECONDS)


def next_run(layout: Layout) -> int:
    """The first session number of the next run; counted in the world."""
    path = layout.truth / "runs"
    runs = int(path.read_text(encoding="utf-8")) + 1 if path.exists() else 1
    path.write_text(str(runs), encoding="utf-8")
    return runs * RUN_STRIDE


def main(arguments: Sequence[str] | None = None) -> int:
    """Send traffic until the time is up or the service is gone."""
    parser = argparse.ArgumentParser(prog="python -m testbed.traffic", description="Users of a world, over HTTP.")
    parser.add_argument("world", type=Path, help="the world's directory")
    parser.add_argument("--url", required=True, help="base URL of the service")
    parser.add_argument("--max-seconds", type=float, default=3600.0, help="end after this time (default %(default)s)")
    parser.add_argument("--parent", type=int, help="end when the process with this id is gone")
    given = parser.parse_args(arguments)
    end_with_parent(given.parent)
    layout = Layout(given.world.resolve())
    traffic = Traffic(layout, given.url, Universe.load(layout), next_run(layout))
    asyncio.run(traffic.run(given.max_seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
