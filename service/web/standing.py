"""How a cycle stands, in the words and colours that every page uses for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cycles.approvals import WAITING_FOR
from domain.cycle import Cycle
from domain.outcome import OutcomeKind
from service.web.stages import StageRow, steps_of
from service.wording import clean, finite, signal_label, stage_label, words

_TONES: Mapping[OutcomeKind, str] = {
    OutcomeKind.IMPROVED: "good",
    OutcomeKind.RESTORED: "good",
    OutcomeKind.REPAIRED: "good",
    OutcomeKind.TUNED: "good",
    OutcomeKind.LEFT_ALONE: "idle",
    OutcomeKind.NO_CYCLE: "idle",
    OutcomeKind.ROLLED_BACK: "warn",
    OutcomeKind.NOT_PROMOTED: "idle",
    OutcomeKind.UNVERIFIED: "warn",
    OutcomeKind.HANDED_OFF: "bad",
    OutcomeKind.STOPPED: "bad",
    OutcomeKind.CANCELLED: "idle",
}
_WANTS = {
    "noise": "Do nothing: it was noise",
    "monitor": "Change nothing, and keep watching",
    "data_fix": "Mend the data",
    "retrain": "Train a new model, and promote it if it wins with users",
    "rollback": "Go back to the release before",
    "tune": "Change settings of the platform",
    "handoff": "Hand it over to a person",
}
_DID = {
    "noise": "Nothing: it was noise",
    "monitor": "Nothing: it was watched",
    "data_fix": "Mended the data",
    "retrain": "Trained a new model",
    "rollback": "Went back to the release before",
    "tune": "Changed settings of the platform",
    "handoff": "Handed it over to a person",
}
_ENDED: Mapping[tuple[str, OutcomeKind], str] = {
    ("retrain", OutcomeKind.IMPROVED): "Trained a new model, and promoted it",
    ("retrain", OutcomeKind.ROLLED_BACK): "Promoted a new model, and took it back",
    ("retrain", OutcomeKind.NOT_PROMOTED): "Trained a new model, and did not promote it",
    ("tune", OutcomeKind.ROLLED_BACK): "Changed settings, and took them back",
}
# Nothing was done that the action would have been.
_UNDONE = frozenset({OutcomeKind.CANCELLED, OutcomeKind.STOPPED, OutcomeKind.HANDED_OFF})


@dataclass(frozen=True)
class Status:
    """How it stands: a word, a tone, and whether it moves."""

    word: str
    tone: str
    live: bool = False


@dataclass(frozen=True)
class CycleRow:
    """A cycle in a list."""

    cycle: Cycle
    title: str
    wants: str
    status: Status
    steps: list[StageRow]

    @property
    def href(self) -> str:
        return f"/cycles/{self.cycle.id}"


def row_of(cycle: Cycle, *, waiting: bool = False) -> CycleRow:
    """Return a cycle as lists show it; `waiting` says that something of it is before people."""
    wants = did_of(cycle) if cycle.stage.terminal else wants_of(cycle)
    status = status_of(cycle, waiting=waiting)
    return CycleRow(cycle, title_of(cycle), wants, status, steps_of(cycle, waiting=waiting))


def status_of(cycle: Cycle, *, waiting: bool = False) -> Status:
    """Return how a cycle stands."""
    if cycle.stage.terminal:
        kind = cycle.outcome
        return Status(words(kind.value), _TONES.get(kind, "idle")) if kind else Status(words(cycle.stage.value), "idle")
    if cycle.facts.get("held"):
        return Status("held by the kill switch", "bad", live=True)
    if cycle.cancel_requested:
        return Status("ends at its next step", "warn", live=True)
    if waiting or cycle.facts.get(WAITING_FOR):
        return Status("waits for approval", "warn", live=True)
    return Status(stage_label(cycle.stage.value), "info", live=True)


def title_of(cycle: Cycle) -> str:
    """Return what is wrong in a line: the signal against its baseline where that was measured, else the alert."""
    seen = reading_of(cycle)
    label = signal_label(cycle.alert.signal)
    now, before = finite(seen.get("current")), finite(seen.get("baseline"))
    if now is None or not before:
        return f"{label} of {clean(cycle.target, 60)} raised an alert"
    change = now / before - 1
    if abs(change) < 0.005:
        return f"{label} of {clean(cycle.target, 60)} is at its baseline again"
    word = "above" if change > 0 else "below"
    verb = "was" if cycle.stage.terminal else "is"
    return f"{label} of {clean(cycle.target, 60)} {verb} {abs(change):.0%} {word} its baseline".replace(
        "%", "\N{NO-BREAK SPACE}%"
    )


def reading_of(cycle: Cycle, signal: str = "") -> Mapping[str, Any]:
    """Return the last reading of a signal that the cycle kept; empty where there is none."""
    snapshot = cycle.facts.get("snapshot") or cycle.facts.get("first_snapshot")
    readings = snapshot.get("readings") if isinstance(snapshot, Mapping) else None
    found = readings.get(signal or cycle.alert.signal) if isinstance(readings, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def answer_of(cycle: Cycle, name: str) -> Mapping[str, Any]:
    """Return what a crew answered, by the name of the question; empty where it was not asked."""
    fact = cycle.facts.get(name)
    value = fact.get("value") if isinstance(fact, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def wants_of(cycle: Cycle) -> str:
    """Return what the crew wants to do, in a line."""
    action = cycle.action.value if cycle.action else str(answer_of(cycle, "diagnosis").get("action") or "")
    return _WANTS.get(action, words(action)) if action else "Not decided yet: it is being looked at"


def did_of(cycle: Cycle) -> str:
    """Return what the crew did in a cycle that ended, in a line."""
    action = cycle.action.value if cycle.action else str(answer_of(cycle, "diagnosis").get("action") or "")
    if cycle.outcome is not None and (action, cycle.outcome) in _ENDED:
        return _ENDED[action, cycle.outcome]
    if not action or cycle.outcome in _UNDONE:
        effects = cycle.facts.get("effects") or ()
        if cycle.outcome is OutcomeKind.HANDED_OFF and all(each.get("name") == "notify" for each in effects):
            return _DID["handoff"]
        return f"Ended early, after {len(effects)} {'effect' if len(effects) == 1 else 'effects'}"
    return _DID.get(action, words(action))
