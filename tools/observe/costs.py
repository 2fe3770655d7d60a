"""`cost_report`: what the target costs, per 1,000 requests and of the month's budget."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from adapters.costs.base import CostsPort
from domain.measurement import Measurement
from domain.signal import SignalSpec
from tools.observe.reading import SignalReader
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

SIGNAL = "cost_per_1k_requests"


class CostArgs(Arguments):
    """How many hours up to now."""

    hours: float = Field(default=24, ge=1, le=744)


class CostReport(Result):
    """What the target cost in [start, end), in USD; None is not known, and `reason` says why.

    `budget_share` is this month's costs so far over the monthly budget, `covered` the share of the span the source has
    data for. `idle_usd` and `unallocated_usd` are costs of the cluster that belong to nobody.
    """

    start: datetime
    end: datetime
    total_usd: float | None
    by_resource: Mapping[str, float]
    cost_per_1k_usd: float | None
    requests: int
    budget_share: float | None
    covered: float
    idle_usd: float
    unallocated_usd: float
    source: str
    reason: str


class CostReportRead(Tool[CostArgs, CostReport]):
    """Asks the cost system for the target of the cycle."""

    spec = ToolSpec(
        "cost_report", "What the target costs: total, by resource, per 1,000 requests, share of the month's budget."
    )
    input = CostArgs
    output = CostReport

    def __init__(self, costs: CostsPort, reader: SignalReader) -> None:
        self._costs = costs
        self._reader = reader

    def run(self, args: CostArgs, call: Call) -> CostReport:
        end = self._reader.clock.now()
        found = self._costs.allocation(call.scope.target, end - timedelta(hours=args.hours), end)
        requests = self._requests(found.end - found.start, found.end)
        per_1k = found.per_1k(requests)
        budget = self._costs.budget_share(call.scope.target)
        return CostReport(
            start=found.start,
            end=found.end,
            total_usd=found.usd.value,
            by_resource=found.by_resource,
            cost_per_1k_usd=per_1k.value,
            requests=per_1k.n,
            budget_share=budget.value,
            covered=found.covered,
            idle_usd=found.idle_usd,
            unallocated_usd=found.unallocated_usd,
            source=found.usd.source,
            reason=found.reason or ("" if per_1k.usable else "the requests of the span are not known"),
        )

    def _requests(self, window: timedelta, at: datetime) -> Measurement:
        spec = self._reader.catalog.get(SIGNAL)
        if spec is None or spec.count is None:
            return Measurement.missing("requests", "no signal counts requests", at)
        counted = SignalSpec(
            name="requests", unit="requests", value=spec.count, count=spec.count, higher_is_better=True
        )
        return self._reader.measure(counted, window, at)
