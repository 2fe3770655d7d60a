"""The recorded cycles of a store, for a backtest; and a replay of each under other gates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from adapters.store.base import StorePort
from cycles.replay import replay
from cycles.shelf import TapeForged, TapeMissing, tapes_of
from domain.tape import StepTape
from service.progress import tracked
from service.replaying import Other, RecordedPolicies, theatre, tool_classes
from tools.gate import Decider

MOST = 1_000_000


def recorded_cycles(store: StorePort, since: datetime) -> tuple[list[list[StepTape]], list[str]]:
    """Return the tapes of every cycle opened since then, oldest first, and why others cannot be asked about."""
    found, skipped = list[list[StepTape]](), list[str]()
    for cycle in reversed(store.cycles(limit=MOST)):
        if cycle.opened_at < since:
            continue
        try:
            found.append(tapes_of(store, cycle.id))
        except (TapeMissing, TapeForged) as problem:
            skipped.append(str(problem))
    return found, skipped


def gates_changed(
    store: StorePort, cycles: Sequence[Sequence[StepTape]], gates: str | None, pdp: Decider | None
) -> list[dict[str, Any]]:
    """Return the first decision of each cycle that other gates change; cycles without one are left out.

    Raises:
        InvalidInput: the gates do not fit the contract of a cycle.
    """
    classes, sets, other = tool_classes(), RecordedPolicies(store), Other(pdp=pdp, gates=gates)
    rows: list[dict[str, Any]] = []
    for tapes in tracked(cycles, "replaying"):
        found = replay(tapes, theatre(tapes, store, classes, other=other, with_crews=False, sets=sets))
        for parting in found.partings[:1]:
            where = {"cycle_id": found.cycle_id, "step": parting.step, "stage": parting.stage}
            rows.append({**where, "then": parting.recorded, "now": parting.now, "why": parting.why})
    return rows
