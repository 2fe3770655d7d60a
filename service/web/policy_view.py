"""The policy set as pages show it: what it is, who may do what where, and the contract with how it was kept."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cycles.reaction import STATUS
from domain.cycle import Cycle
from domain.errors import InvalidInput, PolicySetBroken
from policies.contract import Contract, Limit, Signal
from service.rulings import explained as ruled
from service.web.policy_tools import GROUPS, ToolFacts, profiles, tool_facts

if TYPE_CHECKING:
    from policies.live import LivePolicies
    from policies.matrix import Cell, Explained
    from policies.pdp import PolicyDecisionPoint

ANSWERS = {"allow": "allowed", "approval": "needs approval", "never": "never"}
# How many ended cycles the reaction times of the contract are told from.
LOOKED_BACK = 500


@dataclass(frozen=True)
class SetState:
    """The set in force. `problem` says why what is on disk is not in force; without `policy_hash` all is denied."""

    policy_hash: str
    problem: str
    policies: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ToolRow:
    """One tool of the matrix: a cell for each role."""

    tool: ToolFacts
    cells: Sequence[Cell]


@dataclass(frozen=True)
class ToolGroup:
    """Tools that belong together: those that differ by role, and those that every role may use, whoever asks."""

    rows: Sequence[ToolRow]
    free: Sequence[ToolRow]


Matrix = Mapping[str, ToolGroup]
"""Groups of tools by what people call them."""


@dataclass(frozen=True)
class SignalRow:
    """A row of the contract, and how it was kept: reactions so far, the middle one, and those that came too late."""

    name: str
    signal: Signal
    limits: Sequence[str]
    rollback: Sequence[str]
    reactions: int
    median_s: float | None
    late: int
    overridden: bool


def state_of(policies: LivePolicies) -> SetState:
    """Return how the set stands, looking at the files first."""
    policies.look()
    digest = policies.policy_hash
    files = policies.files(digest)
    point = _point(policies)
    named = [(name, point.reason_of(name)) for name in point.policy_ids] if point else []
    texts = [(name, content.decode(errors="replace")) for name, content in sorted(files.items())]
    return SetState(digest, policies.problem, named, texts)


def matrix_of(policies: LivePolicies, environment: str, *, tool: str = "", answer: str = "") -> Matrix:
    """Return the matrix of an environment by groups of tools; empty where there is no set in force.

    Args:
        tool: only tools whose name or summary has this text. answer: only rows in which somebody is told so.
    """
    point = _point(policies)
    if point is None:
        return {}
    by_tool: dict[str, list[Cell]] = {}
    for cell in _cells(point):
        if cell.environment == environment:
            by_tool.setdefault(cell.tool, []).append(cell)
    rows = [ToolRow(facts, by_tool[name]) for name, facts in tool_facts().items() if _has(facts, tool)]
    rows = [row for row in rows if not answer or any(answer in cell.answers.values() for cell in row.cells)]
    grouped = {said: [row for row in rows if row.tool.group == folder] for folder, said in GROUPS.items()}
    return {said: _parted(found) for said, found in grouped.items() if found}


def explained(
    policies: LivePolicies, *, role: str, tool: str, environment: str, via: str, changes: Sequence[str]
) -> Explained | None:
    """Return one decision, supposing `changes` (``field:value``); None where there is no set in force.

    Raises:
        InvalidInput: there is no such role, tool, environment, way to ask, or fact.
    """
    point = _point(policies)
    if point is None:
        return None
    first = ruled(point, role=role, tool=tool, environment=environment, via=via, changed={})
    changed = dict(_supposed(change, first.context) for change in changes)
    if not changed:
        return first
    return ruled(point, role=role, tool=tool, environment=environment, via=via, changed=changed)


def _supposed(change: str, context: Mapping[str, bool | int | str]) -> tuple[str, bool | int | str]:
    name, _, text = change.partition(":")
    if name not in context:
        raise InvalidInput("with", f"{name!r} is no fact of this decision", "Choose one of the facts that are told")
    known = context[name]
    if isinstance(known, bool):
        return name, text == "true"
    if isinstance(known, int):
        if not text.lstrip("-").isdecimal():
            raise InvalidInput("with", f"{text!r} is no whole number", f"Give {name} a number")
        return name, int(text)
    return name, text


def contract_rows(base: Contract, counted: Contract, cycles: Iterable[Cycle]) -> list[SignalRow]:
    """Return the contract as it counts now, each row with how fast the crew was."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for cycle in cycles:
        kept = cycle.facts.get(STATUS)
        if isinstance(kept, Mapping):
            found.setdefault(str(kept["signal"]), []).append(kept)
    return [
        SignalRow(
            name=name,
            signal=row,
            limits=[limit_said(limit, row) for limit in row.limits],
            rollback=_rollback_said(row),
            reactions=len(found.get(name, ())),
            median_s=statistics.median(float(r["seconds"]) for r in found[name]) if name in found else None,
            late=sum(not r["in_time"] for r in found.get(name, ())),
            overridden=row != base.signals.get(name),
        )
        for name, row in counted.signals.items()
    ]


def limit_said(limit: Limit, row: Signal) -> str:
    """Return a limit in words, e.g. ``3 % below its baseline`` or ``above 800 ms``."""
    word = "below" if row.bad_direction == "down" else "above"
    if limit.kind == "relative_to_baseline":
        return f"{100 * limit.threshold:g} % {word} its baseline"
    unit = "" if row.unit in ("score", "score_1_5", "share", "errors") else f" {row.unit}"
    return f"{word} {limit.threshold:g}{unit}"


def _rollback_said(row: Signal) -> list[str]:
    said = [limit_said(limit, row) for limit in row.rollback.limits]
    return [*(["worse than its baseline in the watch"] if row.rollback.test == "sequential" else []), *said]


def _parted(rows: Sequence[ToolRow]) -> ToolGroup:
    free = [row for row in rows if all(set(cell.answers.values()) == {"allow"} for cell in row.cells)]
    return ToolGroup(rows=[row for row in rows if row not in free], free=free)


def _has(facts: ToolFacts, text: str) -> bool:
    return text.casefold() in f"{facts.name} {facts.summary}".casefold()


def _point(policies: LivePolicies) -> PolicyDecisionPoint | None:
    files = policies.files(policies.policy_hash)
    return _parsed(tuple(sorted(files.items()))) if files else None


@lru_cache(maxsize=4)
def _parsed(files: tuple[tuple[str, bytes], ...]) -> PolicyDecisionPoint | None:
    from policies.pdp import PolicyDecisionPoint

    try:
        return PolicyDecisionPoint.from_files(dict(files))
    except PolicySetBroken:
        return None


@lru_cache(maxsize=4)
def _cells(point: PolicyDecisionPoint) -> Sequence[Cell]:
    """Some two thousand decisions: made once for a set."""
    from policies.matrix import matrix

    effects = {name: facts.effect for name, facts in tool_facts().items()}
    return matrix(point, effects, profiles().values())
