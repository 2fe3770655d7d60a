"""The costs port: what a target cost in a span of time, by resource.

Contract: an amount is known or missing, never guessed. A span the source does not cover, a target it has no allocation
for and a number that is not finite give a missing total with the reason; an answer that contradicts itself raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.clock import Clock
from domain.errors import InvalidInput
from domain.measurement import Measurement

USD = "USD"
# Of the asked span; what a source with a resolution of minutes loses at both ends must not read as a gap.
ENOUGH_COVERED = 0.95


class Allocation(BaseModel):
    """What a target cost in [start, end).

    `usd` is missing when it cannot be told; `reason` then says why. `by_resource` are USD by resource, `covered` is the
    share of the span the source has data for, in [0, 1]. `idle_usd` and `unallocated_usd` belong to nobody.
    """

    model_config = ConfigDict(frozen=True)

    target: str
    start: datetime
    end: datetime
    usd: Measurement
    by_resource: Mapping[str, float] = Field(default_factory=dict)
    covered: float = 0.0
    idle_usd: float = 0.0
    unallocated_usd: float = 0.0
    reason: str = ""

    def per_1k(self, requests: Measurement) -> Measurement:
        """Return USD per 1,000 requests; `requests` is how many there were in the same span."""
        source = f"{self.usd.source}, requests of {requests.source}"
        if not self.usd.usable or not requests.usable or requests.finite() < 1:
            return Measurement.missing(f"{USD} per 1k", source, self.end)
        return Measurement(
            value=1000 * self.usd.finite() / requests.finite(),
            unit=f"{USD} per 1k",
            n=int(requests.finite()),
            window=self.end - self.start,
            source=source,
            at=self.end,
        )


class CostsPort(Protocol):
    """Where costs are known."""

    def allocation(self, target: str, start: datetime, end: datetime) -> Allocation:
        """Return what the target cost in [start, end).

        Raises:
            InvalidInput: the span is empty.
            DependencyLied: the answer contradicts itself or what was asked.
        """
        ...

    def budget_share(self, target: str) -> Measurement:
        """Return this month's costs so far (UTC) as a share of the monthly budget; missing where either is."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise an error that names the remedy."""
        ...


def span(start: datetime, end: datetime) -> timedelta:
    """Return the length of [start, end).

    Raises:
        InvalidInput: it is empty.
    """
    if end <= start:
        raise InvalidInput("end", f"{end.isoformat()} is not after the start", "Give a later time")
    return end - start


def share_of(costs: CostsPort, target: str, budget_usd: float, clock: Clock) -> Measurement:
    """Return what `CostsPort.budget_share` promises, from the allocation of the month so far."""
    now = clock.now()
    begun = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if budget_usd <= 0 or now <= begun:
        return Measurement.missing("share", "no monthly budget" if budget_usd <= 0 else "the month has just begun", now)
    spent = costs.allocation(target, begun, now).usd
    value = spent.finite() / budget_usd if spent.usable else None
    return Measurement(value=value, unit="share", n=spent.n, window=now - begun, source=spent.source, at=now)
