"""The truth of a run, measured from outside: fresh questions nobody has asked before, the same ones at every phase."""

from __future__ import annotations

import json
from collections.abc import Mapping

from domain.clock import Clock
from evals.expectations import Level
from testbed.probe import measure_live
from testbed.world import World

PROBES = 600
# Where the service is slow by fault, asking that often would take longer than the cycle, and quality is not the point.
PROBES_WHEN_SLOW = 100
SLOW = frozenset({"latency"})
# Apart from the seeds of worlds and demos: the questions of an evaluation are asked by nothing else.
SEED_STREAM = 7_919


def probes_for(fault: str, probes: int) -> int:
    """How many questions to ask in a run of this fault."""
    return min(probes, PROBES_WHEN_SLOW) if fault in SLOW else probes


class Outside:
    """Asks the live service at each phase of a run; given to the demo as its observer of phases."""

    def __init__(self, seed: int, clock: Clock, probes: int = PROBES) -> None:
        self._seed = SEED_STREAM + seed
        self._clock = clock
        self._probes = probes
        self._levels: dict[str, Level] = {}
        self._sessions: list[tuple[float, int]] = []
        self.seconds = 0.0

    def __call__(self, phase: str, world: World) -> None:
        """Measure and keep a phase."""
        started = self._clock.monotonic()
        self._sessions.append((started, _sessions(world)))
        found = measure_live(world.layout, world.url, self._probes, self._seed)
        self._levels[phase] = Level(float(found["ndcg_at_10"]), float(found["stderr"]), int(found["n"]))
        self.seconds += self._clock.monotonic() - started

    @property
    def levels(self) -> Mapping[str, Level]:
        """The phases measured so far. Where nothing was done, the final level is the degraded one."""
        missing = {"final": self._levels["degraded"]} if "degraded" in self._levels else {}
        return {**missing, **self._levels}

    @property
    def rate(self) -> float | None:
        """Sessions a second between the first phase and the last; None before there are two."""
        if len(self._sessions) < 2:
            return None
        (start, before), (end, after) = self._sessions[0], self._sessions[-1]
        return (after - before) / (end - start) if end > start else None


def _sessions(world: World) -> int:
    path = world.layout.traffic_report
    return int(json.loads(path.read_text(encoding="utf-8"))["sessions"]) if path.exists() else 0
