"""What the live view knows: events folded into a picture of the cycle. It draws nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.events import Event
from domain.stage import Stage
from service.wording import clean, finite, role_label

STAGES = tuple(stage for stage in Stage if not stage.terminal)
MOST_CALLS = 8
MOST_NOTES = 2
MOST_SAMPLES = 400


class State(StrEnum):
    """How a stage stands."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    SKIPPED = "skipped"


@dataclass
class StageRow:
    """One stage: its state, the seconds since it began, who works in it, the last line it said."""

    state: State = State.WAITING
    begun: float = 0.0
    ended: float = 0.0
    who: str = ""
    reason: str = ""

    def seconds(self, now: float) -> float | None:
        """Return how long it took, or has taken so far; None before it began."""
        if self.state is State.WORKING:
            return now - self.begun
        return self.ended - self.begun if self.state is State.DONE else None


@dataclass(frozen=True)
class CallRow:
    """One call and what the door answered; `why` is the reason of a refusal or failure."""

    at: float
    who: str
    tool: str
    answer: str
    why: str
    policies: str


@dataclass
class Board:
    """The picture. Times are seconds of one monotonic clock."""

    scenario: str
    began: float
    cycle_id: str = ""
    phase: str = ""
    stages: dict[Stage, StageRow] = field(default_factory=lambda: {stage: StageRow() for stage in STAGES})
    calls: deque[CallRow] = field(default_factory=lambda: deque(maxlen=MOST_CALLS))
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_NOTES))
    signals: dict[str, deque[float | None]] = field(default_factory=dict)
    working: str = ""
    model: str = ""
    over: bool = False

    def take(self, event: Event, now: float) -> None:
        """Fold one event in."""
        if event.cycle_id and event.cycle_id != self.cycle_id:
            self._new_cycle(event.cycle_id)
        match event.kind:
            case "stage":
                self._stage(event, now)
            case "call":
                self._call(event, now)
            case "agent":
                self._at_work(event)
            case "model":
                self.model = clean(event.what or event.who, 60)
            case _:
                self.notes.append(clean(event.what))

    def measure(self, values: Mapping[str, float | None]) -> None:
        """Add one sample of each signal; None and numbers that are not finite are gaps."""
        for name, value in values.items():
            self.signals.setdefault(name, deque(maxlen=MOST_SAMPLES)).append(finite(value))

    def state(self, stage: Stage) -> State:
        """Return how a stage stands; one that the cycle went past, or ended without, was skipped."""
        row = self.stages[stage]
        if row.state is not State.WAITING:
            return row.state
        later = STAGES[STAGES.index(stage) + 1 :]
        passed = any(self.stages[s].state is not State.WAITING for s in later)
        to_come = stage is Stage.WATCH and self.stages[Stage.ROLL_BACK].state is State.WORKING
        return State.SKIPPED if self.over or (passed and not to_come) else State.WAITING

    def _new_cycle(self, cycle_id: str) -> None:
        self.cycle_id = clean(cycle_id, 40)
        self.stages = {stage: StageRow() for stage in STAGES}
        self.over = False

    def _row(self, name: str) -> StageRow | None:
        return next((row for stage, row in self.stages.items() if stage.value == name), None)

    def _stage(self, event: Event, now: float) -> None:
        row = self._row(event.stage)
        if row is None:
            return
        reason = clean(event.details.get("reason", ""))
        if event.what == "begin":
            if row.state is not State.WORKING:
                row.begun = now
            row.state = State.WORKING
            return
        row.reason = reason or row.reason
        if event.what == "end":
            row.state, row.ended = State.DONE, now
            self.working = ""
            self.over = event.stage == Stage.LEARN.value

    def _call(self, event: Event, now: float) -> None:
        self._at_work(event)
        policies = event.details.get("policies", ())
        said = ", ".join(map(str, policies)) if isinstance(policies, list | tuple) else str(policies)
        self.calls.append(
            CallRow(
                at=now - self.began,
                who=role_label(event.who),
                tool=clean(event.what, 40),
                answer=clean(event.answer, 60),
                why=clean(event.details.get("reason", "")),
                policies=clean(said, 120),
            )
        )

    def _at_work(self, event: Event) -> None:
        self.working = event.who.partition("/")[0]
        row = self._row(event.stage)
        if row is not None:
            row.who = role_label(event.who)
