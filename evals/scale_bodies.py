"""The webhook bodies of an alert storm: duplicates, flapping, resolved before firing, out of order, and unfit ones.

Deterministic by seed. The senders' threads disturb the order further; what an incident should come to is decided from
the order in which its letters were accepted, by `opens`, which shares no line with the product.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from evals.scale_sites import site

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
_ZERO = "0001-01-01T00:00:00Z"
_BROKEN = ('{"version": "4", ', '{"version": "9", "receiver": "x", "alerts": []}', "[1, 2]", '{"alerts": "none"}')


@dataclass(frozen=True)
class Storm:
    """Bodies as they are sent, the alerts in them that fit, and how many parts do not."""

    bodies: tuple[str, ...]
    alerts: int
    unfit: int
    incidents: int


def storm(bodies: int, *, targets: int, incidents: int, seed: int) -> Storm:
    """Return so many bodies about so many incidents, each a part of a target of its own."""
    dice = random.Random(seed)
    tales = [deque(_tale(dice)) for _ in range(incidents)]
    mine = [list(range(target, incidents, targets)) for target in range(targets)]
    made: list[str] = []
    alerts = unfit = 0
    while len(made) < bodies:
        if dice.random() < 0.01:
            made.append(dice.choice(_BROKEN))
            unfit += 1
            continue
        target = dice.randrange(targets)
        parts = []
        for number in dice.sample(mine[target], k=min(dice.choice((1, 1, 2, 3)), len(mine[target]))):
            tale = tales[number]
            if not tale:
                tale.extend(_tale(dice))
            status, start, end = tale.popleft()
            parts.append(_alert(target, number // targets, number, status, start, end))
        alerts += len(parts)
        if dice.random() < 0.01:
            parts.append({"status": "on fire", "labels": {}})
            unfit += 1
        made.append(_body(parts))
    return Storm(tuple(made), alerts, unfit, incidents)


def opens(letters: Iterable[tuple[str, datetime]]) -> bool:
    """Whether an incident has to lead to a cycle, from its letters (status, start) in the order of acceptance."""
    newest = datetime.min.replace(tzinfo=UTC)
    over: set[datetime] = set()
    for status, start in letters:
        if start < newest:
            continue
        newest = start
        if status == "resolved":
            over.add(start)
        elif start not in over:
            return True
    return False


def _tale(dice: random.Random) -> list[tuple[str, int, int]]:
    """One incident as it is told: (status, start, end) in seconds; every tale ends resolved."""
    kind = dice.random()
    if kind < 0.35:  # told again and again
        return [("firing", 0, 0)] * dice.randint(5, 60) + [("resolved", 0, 600)]
    if kind < 0.5:  # over before it was heard of
        return [("resolved", 0, 40)] + [("firing", 0, 0)] * dice.randint(1, 20)
    flaps = [
        told
        for turn in range(dice.randint(2, 10))
        for told in (
            *[("firing", turn * 120, 0)] * dice.randint(1, 6),
            *[("resolved", turn * 120, turn * 120 + 60)] * dice.randint(1, 2),
        )
    ]
    if kind > 0.8:  # out of order, within reach of a few
        for place in range(len(flaps) - 4):
            other = place + dice.randrange(4)
            flaps[place], flaps[other] = flaps[other], flaps[place]
    return flaps


def _alert(target: int, part: int, number: int, status: str, start: int, end: int) -> dict[str, object]:
    # A part of its own for every incident, so that each of them is free to lead to a cycle.
    labels = {"alertname": "SlowSearch", "signal": "latency_p95_ms", "target": site(target, part), "environment": "dev"}
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": "p95 is above its limit", "runbook": "https://runbooks.example/latency"},
        "startsAt": (START + timedelta(seconds=start)).isoformat(),
        "endsAt": (START + timedelta(seconds=end)).isoformat() if status == "resolved" else _ZERO,
        "fingerprint": f"{number:016x}",
    }


def _body(alerts: list[dict[str, object]]) -> str:
    return json.dumps(
        {
            "version": "4",
            "groupKey": '{}:{alertname="SlowSearch"}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "evercrew",
            "groupLabels": {"alertname": "SlowSearch"},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example",
            "alerts": alerts,
        }
    )
