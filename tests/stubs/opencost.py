"""OpenCost's allocation API over a list of what was spent: windows, steps, aggregation by name, idle costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.costs.memory import Spent
from tests.stubs.small_server import Asked, Said, said

PARAMETERS = {"window", "aggregate", "step", "resolution", "includeIdle", "shareIdle", "idleByNode", "filter"}
_COSTS = {"cpu": "cpuCost", "ram": "ramCost", "gpu": "gpuCost", "storage": "pvCost", "network": "networkCost"}
_ZEROS = [
    "cpuCores",
    "cpuCoreRequestAverage",
    "cpuCoreUsageAverage",
    "cpuCoreHours",
    "cpuCost",
    "cpuCostAdjustment",
    "cpuEfficiency",
    "gpuCount",
    "gpuHours",
    "gpuCost",
    "gpuCostAdjustment",
    "networkTransferBytes",
    "networkReceiveBytes",
    "networkCost",
    "networkCostAdjustment",
    "loadBalancerCost",
    "loadBalancerCostAdjustment",
    "pvBytes",
    "pvByteHours",
    "pvCost",
    "pvCostAdjustment",
    "ramBytes",
    "ramByteRequestAverage",
    "ramByteUsageAverage",
    "ramByteHours",
    "ramCost",
    "ramCostAdjustment",
    "ramEfficiency",
    "sharedCost",
    "externalCost",
    "totalEfficiency",
]


@dataclass
class OpenCostApi:
    """Answers as OpenCost does. `path` is where the API stands; aggregated by `aggregate`, targets are the names."""

    spent: Sequence[Spent]
    path: str = "/allocation"
    aggregate: str = "namespace"
    prefix: str = ""

    def __call__(self, request: Asked) -> Said:
        if request.path != self.path:
            return Said(404, b"404 page not found\n", "text/plain")
        unknown = set(request.query) - PARAMETERS
        if unknown or "window" not in request.query:
            return said({"code": 400, "message": f"Invalid parameters: {sorted(unknown) or 'window'}"}, 400)
        if request.query.get("aggregate") not in (self.aggregate, "cluster"):
            return said({"code": 400, "message": f"Invalid 'aggregate' {request.query.get('aggregate')}"}, 400)
        start, end = (_moment(text) for text in request.query["window"].split(","))
        step = (
            timedelta(minutes=int(request.query["step"].removesuffix("m"))) if "step" in request.query else end - start
        )
        sets = []
        while start < end:
            sets.append(self._set(start, min(start + step, end)))
            start += step
        return said({"code": 200, "status": "success", "data": sets})

    def _set(self, start: datetime, end: datetime) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for row in self.spent:
            first, last = max(row.start, start), min(row.end, end)
            if last > first:
                name = row.target if row.target.startswith("__") else f"{self.prefix}{row.target}"
                rows[name] = _row(name, row, (first, last), (start, end))
        return rows


def _row(name: str, row: Spent, ran: tuple[datetime, datetime], window: tuple[datetime, datetime]) -> dict[str, Any]:
    share = (ran[1] - ran[0]) / (row.end - row.start)
    costs = {_COSTS[part]: usd * share for part, usd in row.by_resource.items()}
    return {
        **dict.fromkeys(_ZEROS, 0.0),
        **costs,
        "name": name,
        "properties": {"cluster": "one", "namespace": name},
        "window": {"start": _text(window[0]), "end": _text(window[1])},
        "start": _text(ran[0]),
        "end": _text(ran[1]),
        "minutes": (ran[1] - ran[0]) / timedelta(minutes=1),
        "pvs": None,
        "rawAllocationOnly": None,
        "totalCost": sum(costs.values()),
    }


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
