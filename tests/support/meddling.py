"""What a test does to a running office: ports that fail, switches, things that happen when a stage begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adapters.store.base import FlagRow
from domain.errors import DependencyUnavailable
from domain.events import Event
from service.toolbox import Ports
from tests.support.flaky import Flaky, Plan
from tests.support.office import Rig
from tests.support.story import Story

AWAY = DependencyUnavailable("it", "is away")


def failing(port: str, **plans: Plan) -> Callable[[Ports], Ports]:
    """Return the change that puts a flaky port in front of one."""
    return lambda ports: replace(ports, **{port: Flaky(getattr(ports, port), plans)})


def when_stage(rig: Rig, stage: str, act: Callable[[], object], what: str = "begin") -> None:
    """Do something once, as soon as a stage begins, waits or ends."""
    done: list[bool] = []

    def note(event: Event) -> None:
        rig.events.append(event)
        if (event.kind, event.stage, event.what) == ("stage", stage, what) and not done:
            done.append(True)
            act()

    object.__setattr__(rig.office, "observer", note)


def flag(rig: Rig, name: str, enabled: bool) -> None:
    """Set a feature flag everywhere."""
    rig.store.set_flag(FlagRow(name=name, enabled=enabled), by="a person", at=rig.clock.now())


def cancel(rig: Rig) -> None:
    """Call the only cycle off."""
    [cycle] = rig.store.cycles()
    rig.engine.cancel(cycle.id)


def notes(story: Story) -> str:
    """Return what was told on the way."""
    return "\n".join(e.what for e in story.rig.events if e.kind == "note")
