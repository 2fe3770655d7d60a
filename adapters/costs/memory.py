"""Costs in memory, for tests and embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from adapters.costs.base import ENOUGH_COVERED, USD, Allocation, share_of, span
from domain.clock import Clock
from domain.measurement import Measurement

SOURCE = "memory"


@dataclass(frozen=True)
class Spent:
    """What was spent on a target evenly over [start, end), by resource in USD."""

    target: str
    start: datetime
    end: datetime
    by_resource: Mapping[str, float] = field(default_factory=dict)


class MemoryCosts:
    """`CostsPort` over a list, which may be appended to."""

    def __init__(self, *, clock: Clock, spent: Sequence[Spent] = (), monthly_budget_usd: float = 0.0) -> None:
        self._clock = clock
        self._budget = monthly_budget_usd
        self.spent = list(spent)

    def allocation(self, target: str, start: datetime, end: datetime) -> Allocation:
        """See `CostsPort.allocation`."""
        asked = span(start, end)
        parts: dict[str, float] = {}
        edges: list[tuple[datetime, datetime]] = []
        found = 0
        for row in self.spent:
            first, last = max(row.start, start), min(row.end, end)
            if last <= first:
                continue
            edges.append((first, last))
            if row.target == target:
                found += 1
                for name, usd in row.by_resource.items():
                    parts[name] = parts.get(name, 0.0) + usd * ((last - first) / (row.end - row.start))
        covered = (max(e for _, e in edges) - min(s for s, _ in edges)) / asked if edges else 0.0
        reason = ""
        if covered < ENOUGH_COVERED:
            reason = f"the source covers {covered:.0%} of the span"
        elif not found:
            reason = f"there is no allocation {target!r}"
        total = Measurement(
            value=None if reason else sum(parts.values()), unit=USD, n=found, window=asked, source=SOURCE, at=end
        )
        return Allocation(
            target=target, start=start, end=end, usd=total, by_resource=parts, covered=covered, reason=reason
        )

    def budget_share(self, target: str) -> Measurement:
        """See `CostsPort.budget_share`."""
        return share_of(self, target, self._budget, self._clock)

    def check(self) -> str:
        """See `CostsPort.check`."""
        return f"memory: {len(self.spent)} allocations"
