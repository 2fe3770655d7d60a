"""The stages of a cycle on its way: which are over, which is at work or waits, how long each took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cycles.approvals import WAITING_FOR
from domain.cycle import Cycle
from domain.receipt import AuditRecord, RecordKind
from domain.stage import Stage
from service.wording import clean, duration, stage_label

ALL = tuple(stage for stage in Stage if not stage.terminal)
_WORDS = {
    "ahead": "not yet",
    "skipped": "not needed",
    "working": "at work",
    "waiting": "waits for people",
    "done": "done",
    "failed": "ended here",
}


@dataclass(frozen=True)
class StageRow:
    """One stage; `state` is ahead, working, waiting, done, skipped, or failed: the cycle ended there without success.

    `seconds` is how long it took, or has taken so far, over all its visits.
    """

    name: str
    state: str
    seconds: float | None = None
    reason: str = ""
    visits: int = 0

    @property
    def label(self) -> str:
        return stage_label(self.name)

    @property
    def took(self) -> str:
        """How long, or how it stands, in a word."""
        known = "" if self.seconds is None else duration(self.seconds)
        if self.state in ("working", "waiting"):
            return f"{known} so far" if known else _WORDS[self.state]
        return known or _WORDS[self.state]

    @property
    def said(self) -> str:
        """The stage for people who hear the page."""
        return f"{self.label}: {_WORDS[self.state]}{f', {duration(self.seconds)}' if self.seconds is not None else ''}"


@dataclass(frozen=True)
class _Visit:
    stage: str
    begin: datetime
    end: datetime | None
    reason: str


def stages_of(cycle: Cycle, records: Iterable[AuditRecord], now: datetime, *, waiting: bool = False) -> list[StageRow]:
    """Return every stage of the cycle, in the order of the happy path; `waiting` says that people are asked."""
    visits = _visits(cycle, records)
    present = cycle.stage
    ended_at = _last_real(visits) if present.terminal and _without_success(cycle) else ""
    rows = []
    for stage in ALL:
        mine = [v for v in visits if v.stage == stage.value]
        seconds = sum(((v.end or now) - v.begin).total_seconds() for v in mine) if mine else None
        reason = next((v.reason for v in reversed(mine) if v.reason), "")
        state = _state(cycle, stage, mine, ended_at)
        state = "waiting" if waiting and state == "working" else state
        rows.append(StageRow(stage.value, state, seconds, reason, len(mine)))
    return _without_detour(rows)


def steps_of(cycle: Cycle, *, waiting: bool = False) -> list[StageRow]:
    """Return the stages by what the cycle itself keeps, for a list of many: no record is read."""
    worked = {name for name, seconds in cycle.timings.items() if seconds >= 0}
    rows = []
    for stage in ALL:
        mine = [_Visit(stage.value, cycle.opened_at, cycle.updated_at, "")] if stage.value in worked else []
        state = _state(cycle, stage, mine, "")
        state = "waiting" if waiting and state == "working" else state
        rows.append(StageRow(stage.value, state, cycle.timings.get(stage.value)))
    return _without_detour(rows)


def _visits(cycle: Cycle, records: Iterable[AuditRecord]) -> list[_Visit]:
    begin, found = cycle.opened_at, []
    for record in records:
        if record.entry.kind is RecordKind.TRANSITION:
            reason = clean(record.entry.body.get("reason", ""), 600)
            found.append(_Visit(record.entry.stage, begin, record.at, reason))
            begin = record.at
    if not cycle.stage.terminal:
        found.append(_Visit(cycle.stage.value, begin, None, clean(cycle.reason, 600)))
    return found


def _state(cycle: Cycle, stage: Stage, mine: list[_Visit], ended_at: str) -> str:
    if stage is cycle.stage:
        return "waiting" if cycle.facts.get(WAITING_FOR) else "working"
    if mine:
        return "failed" if stage.value == ended_at else "done"
    over = cycle.stage.terminal or cycle.stage is Stage.LEARN
    passed = not over and ALL.index(stage) < ALL.index(cycle.stage)
    return "skipped" if over or passed else "ahead"


def _last_real(visits: list[_Visit]) -> str:
    return next((v.stage for v in reversed(visits) if v.stage != Stage.LEARN.value), "")


def _without_success(cycle: Cycle) -> bool:
    return cycle.outcome is None or not cycle.outcome.verified


def _without_detour(rows: list[StageRow]) -> list[StageRow]:
    """Return the rows without the way back, where nobody took it: it is no stage that a cycle lacks."""
    return [row for row in rows if row.name != Stage.ROLL_BACK.value or row.state not in ("skipped", "ahead")]
