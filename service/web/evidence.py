"""What a diagnosis rests on: each claim with the tool call it cites, and what the tools answered, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.cycle import Cycle
from service.web.calls import CallRow
from service.web.standing import answer_of
from tools.evidence import tool_of


@dataclass(frozen=True)
class ClaimRow:
    """One claim; `holds` is None while nobody has checked it. `call` is the call it cites, None where there is none."""

    statement: str
    place: str
    path: str
    comparison: str
    value: Any
    found: Any
    holds: bool | None
    why: str
    call: CallRow | None

    @property
    def tool(self) -> str:
        return tool_of(self.place)


@dataclass(frozen=True)
class Source:
    """What a tool answered: its arguments and result, the call it was, and how many claims cite it."""

    place: str
    tool: str
    args: Any
    result: Any
    call: CallRow | None
    cited: int


def claims_of(cycle: Cycle, artifacts: Mapping[str, Mapping[str, Any]], calls: Mapping[str, CallRow]) -> list[ClaimRow]:
    """Return the claims of the diagnosis, as checked where it is done, those that hold first."""
    report = artifacts.get("diagnostic_report.json")
    told = report.get("claims", ()) if report is not None else answer_of(cycle, "diagnosis").get("claims") or ()
    rows = [
        ClaimRow(
            statement=str(claim.get("statement", "")),
            place=str(claim.get("call", "")),
            path=str(claim.get("path", "")),
            comparison=str(claim.get("comparison", "")),
            value=claim.get("value"),
            found=claim.get("found"),
            holds=bool(claim["supported"]) if "supported" in claim else None,
            why=str(claim.get("reason", "")),
            call=calls.get(str(claim.get("call", ""))),
        )
        for claim in told
    ]
    return sorted(rows, key=lambda row: row.holds is False)


def sources_of(
    results: Mapping[str, Mapping[str, Any]], calls: Mapping[str, CallRow], claims: Sequence[ClaimRow]
) -> list[Source]:
    """Return what tools answered, those that claims cite first, then as they came."""
    cited = [claim.place for claim in claims]
    found = [
        Source(place, tool_of(place), payload.get("args"), payload.get("result"), calls.get(place), cited.count(place))
        for place, payload in results.items()
    ]
    return sorted(found, key=lambda source: -source.cited)
