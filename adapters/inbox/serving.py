"""What a turn changes, gathered letter by letter and written at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from adapters.inbox.base import Fate, Handled, Held, Incident, Letter, Turn


@dataclass
class Served:
    """The changes of a turn: incidents as they are now, letters by what became of them, and cycles."""

    incidents: dict[str, Incident]
    fates: dict[tuple[Fate, str], list[int]] = field(default_factory=dict)
    held: dict[datetime, list[int]] = field(default_factory=dict)
    poison: dict[int, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)

    def note(self, letter: Letter, handled: Handled) -> None:
        """Take in what handling a letter came to."""
        self.incidents[letter.alert.fingerprint] = handled.incident
        if isinstance(handled, Held):
            self.held.setdefault(handled.again, []).append(letter.number)
            return
        self.fates.setdefault((handled.fate, handled.cycle_id), []).append(letter.number)
        for told, kind in ((self.opened, Fate.OPENED), (self.joined, Fate.JOINED)):
            if handled.fate is kind and handled.cycle_id not in told:
                told.append(handled.cycle_id)

    def turn(self, lane: str) -> Turn:
        """Return it for whoever took the turn."""
        counted: Counter[Fate] = Counter({Fate.POISON: len(self.poison)} if self.poison else {})
        for (fate, _), numbers in self.fates.items():
            counted[fate] += len(numbers)
        return Turn(
            lane=lane,
            fates=dict(counted),
            opened=tuple(self.opened),
            joined=tuple(self.joined),
            held=sum(map(len, self.held.values())),
        )
