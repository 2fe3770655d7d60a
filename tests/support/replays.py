"""Replaying what an office in memory has recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.llm.base import ChatPort
from adapters.traces.none import NoTraces
from agents.playbook import Playbook
from cycles.replay import Replayed, replay
from cycles.shelf import tapes_of
from domain.actor import Role
from domain.clock import SystemClock
from domain.cycle import Cycle
from domain.events import nobody
from service.models import judges_of
from service.replaying import Other, theatre
from tests.support.office import Rig


def classes_of(rig: Rig) -> dict[str, Any]:
    """Return the tools of an office, by name."""
    return {tool.spec.name: type(tool) for tool in rig.gate.registry}


def replayed(rig: Rig, cycle: Cycle, other: Other | None = None, *, with_crews: bool = False) -> Replayed:
    """Replay a cycle of the office."""
    tapes = tapes_of(rig.store, cycle.id)
    return replay(tapes, theatre(tapes, rig.store, classes_of(rig), other=other, with_crews=with_crews))


def crewed(rig: Rig, chat: Callable[[Role], ChatPort] = lambda role: Playbook()) -> Rig:
    """Let real crews judge in an office, on the playbook or another model."""
    judges = judges_of(rig.gate, chat, nobody, NoTraces(), SystemClock())
    object.__setattr__(rig.office, "judges", judges)
    return rig
