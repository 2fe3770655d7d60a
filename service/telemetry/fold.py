"""Totals that the audit chain tells, added up record by record: the same from every process, and right after a restart.

The chain is read once, then only what is new of it; how far it was read is kept with the totals in the store, so that
the next process goes on from there. They are a function of the chain's beginning and of cycles that have ended, neither
of which changes: whichever process keeps them last keeps nothing wrong.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adapters.audit.base import Link
from adapters.store.base import Recording
from domain.budget import Amounts
from domain.cycle import Cycle
from domain.receipt import RecordKind
from domain.stage import Stage

PLACE, VERSION = "metrics/totals", 1
SCOPE = "metrics"
_ENDS = frozenset(stage.value for stage in Stage if stage.terminal)
_CALLS = {RecordKind.INTENT.value: "allow", RecordKind.READ.value: "allow", RecordKind.REFUSAL.value: "deny"}
_LOOKED_AT = frozenset({*_CALLS, RecordKind.TRANSITION.value, RecordKind.NOTE.value, RecordKind.CHECKPOINT.value})
# A transition may be on record twice, seconds apart: so many of those that ended last are remembered.
_MOST_ENDED = 2000
_BETWEEN = "|"


class Totals(BaseModel):
    """What the chain tells up to the record `sequence`. Keys of two labels are joined by a bar.

    `decisions` by effect (read or write) and answer; `cycles` by outcome and action; `verdicts` by gate and verdict;
    `stages` are seconds by stage, `stage_runs` how many cycles went through it; `waiting` are cycles that have ended on
    record and not in the store yet.
    """

    model_config = ConfigDict(extra="forbid")

    version: int = VERSION
    sequence: int = 0
    checkpoint: int = 0
    decisions: dict[str, int] = Field(default_factory=dict)
    refusals: dict[str, int] = Field(default_factory=dict)
    cycles: dict[str, int] = Field(default_factory=dict)
    verdicts: dict[str, int] = Field(default_factory=dict)
    stages: dict[str, float] = Field(default_factory=dict)
    stage_runs: dict[str, int] = Field(default_factory=dict)
    reactions: dict[str, int] = Field(default_factory=dict)
    reaction_s: float = 0.0
    tokens: int = 0
    usd_micros: int = 0
    ended: list[str] = Field(default_factory=list)
    waiting: list[str] = Field(default_factory=list)

    def recording(self) -> Recording:
        """Return it as the store keeps it."""
        return Recording(cycle_id=SCOPE, place=PLACE, kind=SCOPE, payload=self.model_dump(mode="json"))


def kept(recordings: Iterable[Recording], head: int) -> Totals:
    """Return the totals that are kept, where they are of this version and of this chain; else none."""
    for recording in recordings:
        if recording.place == PLACE and recording.payload.get("version") == VERSION:
            found = Totals.model_validate(recording.payload)
            return found if found.sequence <= head else Totals()
    return Totals()


def add(totals: Totals, links: Iterable[Link]) -> int:
    """Add records to the totals, and return how many there were."""
    count = 0
    for link in links:
        count += 1
        totals.sequence = link.sequence
        if link.kind in _LOOKED_AT:
            _add(totals, link.kind, link.sequence, json.loads(link.text)["entry"])
    return count


def end(totals: Totals, cycle: Cycle, spent: Amounts) -> None:
    """Add a cycle that has ended, once."""
    if cycle.id in totals.ended:
        return
    totals.ended = [*totals.ended, cycle.id][-_MOST_ENDED:]
    outcome = cycle.outcome.value if cycle.outcome else cycle.stage.value
    _count(totals.cycles, outcome, cycle.action.value if cycle.action else "none")
    for name, verdict in cycle.facts.items():
        if name.startswith("verdict_") and isinstance(verdict, str):
            _count(totals.verdicts, name.removeprefix("verdict_"), verdict)
    for stage, seconds in cycle.timings.items():
        totals.stages[stage] = totals.stages.get(stage, 0.0) + seconds
        _count(totals.stage_runs, stage)
    totals.tokens += spent.tokens
    totals.usd_micros += spent.usd_micros


def labels(key: str) -> list[str]:
    """Return the labels of a key."""
    return key.split(_BETWEEN)


def _add(totals: Totals, kind: str, sequence: int, entry: Mapping[str, Any]) -> None:
    status, answer = str(entry.get("status", "")), _CALLS.get(kind)
    if answer is not None:
        effect = "read" if kind == RecordKind.READ.value or not entry.get("key") else "write"
        escalated = kind == RecordKind.REFUSAL.value and status == "escalate"
        _count(totals.decisions, effect, "escalate" if escalated else answer)
        if kind == RecordKind.REFUSAL.value:
            _count(totals.refusals, status or "denied")
    elif kind == RecordKind.TRANSITION.value and status in _ENDS:
        if entry["cycle_id"] not in totals.waiting:
            totals.waiting.append(str(entry["cycle_id"]))
    elif kind == RecordKind.CHECKPOINT.value:
        totals.checkpoint = sequence
    elif status in ("reaction", "reaction_late"):
        _count(totals.reactions, "in_time" if status == "reaction" else "late")
        totals.reaction_s += float(entry.get("body", {}).get("seconds", 0.0))


def _count(counts: dict[str, int] | Counter[str], *names: str) -> None:
    key = _BETWEEN.join(names)
    counts[key] = counts.get(key, 0) + 1
