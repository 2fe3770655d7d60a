"""Costs of OpenCost or Kubecost: `GET /allocation`, which both answer (Kubecost below `/model`).

The span is asked in steps that divide it evenly, so that a step without data is seen as a gap and not as nothing spent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.costs.base import ENOUGH_COVERED, USD, Allocation, share_of, span
from adapters.rest import Endpoint, NotFound, RestClient
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, InvalidInput
from domain.measurement import Measurement

NAME = "costs"
MINUTE = timedelta(minutes=1)
MOST_STEPS = 31
IDLE, UNALLOCATED = "__idle__", "__unallocated__"
RESOURCES: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpuCost", "cpuCostAdjustment"),
    "ram": ("ramCost", "ramCostAdjustment"),
    "gpu": ("gpuCost", "gpuCostAdjustment"),
    "storage": ("pvCost", "pvCostAdjustment"),
    "network": ("networkCost", "networkCostAdjustment"),
    "load_balancer": ("loadBalancerCost", "loadBalancerCostAdjustment"),
    "shared": ("sharedCost",),
    "external": ("externalCost",),
}
_REMEDY = "Check costs.url, and costs.path: /allocation for OpenCost, /model/allocation for Kubecost"


class _Span(BaseModel):
    model_config = ConfigDict(extra="ignore")

    start: datetime
    end: datetime


class _Row(BaseModel):
    """One allocation of one step, as far as it is used; costs stay in `model_extra`."""

    model_config = ConfigDict(extra="allow")

    name: str
    window: _Span
    start: datetime
    end: datetime
    total: float | None = Field(alias="totalCost")

    @property
    def parts(self) -> dict[str, float]:
        """USD by resource."""
        extra = self.model_extra or {}
        return {name: sum(_number(extra.get(field)) for field in fields) for name, fields in RESOURCES.items()}


@dataclass(frozen=True)
class _Asked:
    start: datetime
    end: datetime
    step: timedelta


class OpenCostCosts:
    """`CostsPort` on the API below `endpoint`.

    Args:
        path: of the allocation API.
        aggregate: what allocations are named by: ``namespace``, ``controller``, ``label:app`` and so on.
        names: target -> name of its allocation, where they differ.
        filter: passed on as it is (the V2 filter language).
        share_idle: whether idle costs are spread over the allocations.
        monthly_budget_usd: 0 when there is none.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        clock: Clock,
        path: str = "/allocation",
        aggregate: str = "namespace",
        names: Mapping[str, str] | None = None,
        filter: str = "",
        share_idle: bool = False,
        monthly_budget_usd: float = 0.0,
    ) -> None:
        if not path.startswith("/"):
            raise ConfigurationError("costs.path", f"{path!r} is not a path", "Begin it with /")
        self._rest = RestClient(endpoint, name=NAME, field=NAME, clock=clock)
        self._clock = clock
        self._path = path
        self._aggregate = aggregate
        self._names = dict(names or {})
        self._filter = filter
        self._share_idle = share_idle
        self._budget = monthly_budget_usd

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def allocation(self, target: str, start: datetime, end: datetime) -> Allocation:
        """See `CostsPort.allocation`."""
        asked = _asked(start, end)
        sets = self._sets(asked)
        rows = [row for rows in sets for row in rows]
        mine = [row for row in rows if self._is(row.name, target)]
        covered = _covered(rows, asked)
        parts = _summed(mine)
        reason = self._reason(rows, mine, covered, target)
        return Allocation(
            target=target,
            start=asked.start,
            end=asked.end,
            usd=Measurement(
                value=None if reason else sum(_number(row.total) for row in mine),
                unit=USD,
                n=len(mine),
                window=asked.end - asked.start,
                source=f"{NAME}: {self._aggregate} {self._name(target)}",
                at=asked.end,
            ),
            by_resource={name: usd for name, usd in parts.items() if usd},
            covered=covered,
            idle_usd=_total(rows, IDLE),
            unallocated_usd=_total(rows, UNALLOCATED),
            reason=reason,
        )

    def budget_share(self, target: str) -> Measurement:
        """See `CostsPort.budget_share`."""
        return share_of(self, target, self._budget, self._clock)

    def check(self) -> str:
        """See `CostsPort.check`."""
        end = self._clock.now()
        rows = [row for rows in self._sets(_asked(end - timedelta(hours=2), end)) for row in rows]
        if not rows:
            raise ConfigurationError(
                "costs.filter" if self._filter else "costs.url",
                "there is no allocation in the last two hours",
                "Check the filter" if self._filter else "Check that OpenCost reaches its Prometheus",
            )
        for target in self._names:
            if not any(self._is(row.name, target) for row in rows):
                raise ConfigurationError(
                    "costs.aggregate",
                    f"by {self._aggregate} there is no allocation {self._name(target)!r}, but {_listed(rows)}",
                    "Name what the platform's allocation is called, or aggregate by something else",
                )
        return f"{NAME}: {len({row.name for row in rows})} allocations by {self._aggregate}"

    def _name(self, target: str) -> str:
        return self._names.get(target, target)

    def _is(self, name: str, target: str) -> bool:
        """Versions differ in how they name an allocation by label: by its value, or as label=value."""
        label = self._aggregate.removeprefix("label:")
        return name in (self._name(target), f"{label}={self._name(target)}")

    def _reason(self, rows: Sequence[_Row], mine: Sequence[_Row], covered: float, target: str) -> str:
        if not rows:
            return "the source has no allocation at all in the span"
        if covered < ENOUGH_COVERED:
            return f"the source covers {covered:.0%} of the span"
        if not mine:
            return f"by {self._aggregate} there is no allocation {self._name(target)!r}, but {_listed(rows)}"
        if any(row.total is None or not math.isfinite(row.total) for row in mine):
            return "a total is not a finite number"
        return ""

    def _sets(self, asked: _Asked) -> list[list[_Row]]:
        params = {
            "window": f"{_stamp(asked.start)},{_stamp(asked.end)}",
            "aggregate": self._aggregate,
            "step": f"{int(asked.step / MINUTE)}m",
            "includeIdle": "true",
            "shareIdle": "true" if self._share_idle else "false",
        }
        if self._filter:
            params["filter"] = self._filter
        try:
            answer = self._rest.get(self._path, params)
        except NotFound as error:
            raise ConfigurationError("costs.path", f"nothing answers at {self._path}", _REMEDY) from error
        except InvalidInput as error:
            remedy = "Check costs.aggregate and costs.filter"
            raise ConfigurationError("costs.aggregate", error.problem, remedy) from error
        return [_rows(found, asked) for found in _data(answer)]


def _data(answer: Any) -> list[Any]:
    if not isinstance(answer, dict) or "data" not in answer or "code" not in answer:
        raise DependencyLied(NAME, "the answer is not one of OpenCost's", _REMEDY)
    if answer["code"] != 200:
        detail = f"it answered with the code {answer['code']}: {str(answer.get('message', ''))[:200]}"
        raise DependencyLied(NAME, detail, "See the log of OpenCost")
    data = answer["data"] or []
    if not isinstance(data, list):
        raise DependencyLied(NAME, "field data: is not a list of allocation sets", _REMEDY)
    return data


def _rows(found: Any, asked: _Asked) -> list[_Row]:
    if found is None:
        return []
    if not isinstance(found, dict):
        raise DependencyLied(NAME, "an allocation set is not an object", _REMEDY)
    rows = [_row(name, raw) for name, raw in found.items() if raw is not None]
    for row in rows:
        _checked(row, asked)
    return rows


def _row(name: str, raw: Any) -> _Row:
    try:
        row = _Row.model_validate(raw)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "(all)"
        raise DependencyLied(NAME, f"allocation {name!r}, field {where}: {problem['msg']}") from error
    if row.name != name:
        raise DependencyLied(NAME, f"the allocation under {name!r} says that it is {row.name!r}")
    return row


def _checked(row: _Row, asked: _Asked) -> None:
    """A total below the sum of its parts, below zero, or of another span is an answer nobody may count on."""
    if row.window.start < asked.start - asked.step or row.window.end > asked.end + asked.step:
        raise DependencyLied(NAME, f"{row.name!r} is of {row.window.start.isoformat()}, which was not asked for")
    if row.total is None or not math.isfinite(row.total):
        return
    known = sum(row.parts.values())
    if row.total < 0 and row.name != IDLE:
        raise DependencyLied(NAME, f"{row.name!r} costs {row.total} USD")
    if known > row.total * 1.01 + 0.01:
        raise DependencyLied(NAME, f"{row.name!r} costs {row.total:.4f} USD, and its parts {known:.4f} USD")


def _asked(start: datetime, end: datetime) -> _Asked:
    """Return the span in whole minutes, and the shortest step of an hour or more that divides it."""
    span(start, end)
    first, last = (moment.astimezone(UTC).replace(second=0, microsecond=0) for moment in (start, end))
    if last <= first:
        raise InvalidInput("end", "the span is shorter than a minute", "Give a longer one")
    minutes = int((last - first) / MINUTE)
    least = max(60, math.ceil(minutes / MOST_STEPS))
    step = next((n for n in range(least, minutes) if minutes % n == 0), minutes)
    return _Asked(first, last, step * MINUTE)


def _covered(rows: Iterable[_Row], asked: _Asked) -> float:
    """Return the share of the span in which something at all was allocated."""
    seen = timedelta()
    reached = asked.start
    for first, last in sorted((row.start, row.end) for row in rows):
        begun, ended = max(first, reached), min(last, asked.end)
        # What starts a minute or two after the one before it ended is not a gap.
        begun = reached if begun - reached <= 2 * MINUTE else begun
        if ended > begun:
            seen += ended - begun
            reached = ended
    return min(seen / (asked.end - asked.start), 1.0)


def _summed(rows: Iterable[_Row]) -> dict[str, float]:
    parts = dict.fromkeys(RESOURCES, 0.0)
    for row in rows:
        for name, usd in row.parts.items():
            parts[name] += usd
    return parts


def _total(rows: Iterable[_Row], name: str) -> float:
    return sum(_number(row.total) for row in rows if row.name == name)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _listed(rows: Iterable[_Row]) -> str:
    return ", ".join(sorted({row.name for row in rows} - {IDLE})[:8]) or "nothing else"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
