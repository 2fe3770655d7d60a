"""The names of the scale bench: targets, their parts, and how their alerts are routed."""

from __future__ import annotations

from cycles.intake import Routing


def routing(targets: int, parts: int) -> Routing:
    """How the alerts of the bench are routed: so many targets, each of so many parts."""
    names = [site(target, part) for target in range(targets) for part in range(parts)]
    return Routing(["latency_p95_ms"], {}, names, "dev")


def site(target: int, part: int) -> str:
    """Return the name of a part of a target; its parts share a lane."""
    return f"target-{target:02d}/part-{part:03d}"
