"""A cycle told in three lines: given what is wrong, when the cycle runs, then how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cycles.verify import verify
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from tests.support.office import Rig, dones, ended, office_in_memory
from tests.support.setting import alert_of


class Story:
    """A cycle told in steps; `given(...)` builds it.

    `when` changes the platform or the wiring; `runs` walks the cycle; the rest looks at how it ended.
    """

    def __init__(self, rig: Rig, action: Action) -> None:
        self.rig = rig
        self.action = action
        self._cycle: Cycle | None = None

    def when(self, **world: Any) -> Story:
        """Set fields of the platform's world."""
        for name, value in world.items():
            assert hasattr(self.rig.world, name), name
            setattr(self.rig.world, name, value)
        return self

    def before(self, change: Callable[[Rig], object]) -> Story:
        """Do something to the office before the cycle runs."""
        change(self.rig)
        return self

    def runs(self) -> Story:
        """Walk the cycle to its end."""
        self._cycle = ended(self.rig, self.action)
        return self

    @property
    def cycle(self) -> Cycle:
        """The cycle as it ended."""
        assert self._cycle is not None, "call runs() first"
        return self._cycle

    @property
    def effects(self) -> list[str]:
        """What was done, in order."""
        return dones(self.rig, self.cycle.id)

    @property
    def path(self) -> list[str]:
        """The stages the chain has seen, in order."""
        records = self.rig.audit.records(self.cycle.id)
        moves = [r.entry for r in records if r.entry.kind.value == "transition"]
        return [moves[0].stage, *(m.status for m in moves)]

    def expect_end(self, outcome: OutcomeKind, stage: Stage = Stage.DONE) -> Story:
        """Assert how it ended."""
        assert (self.cycle.outcome, self.cycle.stage) == (outcome, stage), self.cycle.reason
        return self

    def did(self, *effects: str) -> Story:
        """Assert what was done, in order, and nothing else."""
        assert self.effects == list(effects)
        return self

    def wrote(self, *names: str) -> Story:
        """Assert which artifacts there are."""
        folder = self.rig.office.artifacts.folder(self.cycle.id)
        assert sorted(p.name for p in folder.iterdir()) == sorted(names)
        return self

    def is_proven(self) -> Story:
        """Assert that the record proves what it claims."""
        checks = verify(self.cycle.id, self.rig.evidence())
        assert [c for c in checks if not c.ok] == []
        return self

    def said(self, *words: str) -> Story:
        """Assert words of the reason."""
        for word in words:
            assert word in self.cycle.reason, self.cycle.reason
        return self


def given(folder: Path, action: Action, **wiring: Any) -> Story:
    """Return the story of a platform with what calls for `action`, before its cycle runs."""
    return Story(office_in_memory(folder, action, **wiring), action)


def opened(rig: Rig, action: Action, stage: Stage, facts: Iterable[tuple[str, Any]] = ()) -> Cycle:
    """Return an open cycle put into a stage with facts, as if it had walked there."""
    cycle = rig.open(alert_of(action, rig.clock))
    cycle = cycle.model_copy(update={"stage": stage, "action": action, "facts": dict(facts)})
    rig.store.save(cycle)
    return cycle
