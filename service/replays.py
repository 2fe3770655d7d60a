"""A cycle once more on its record, as it was or with something exchanged; at a terminal and over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from adapters.audit.base import AuditPort
    from adapters.store.base import StorePort
    from cycles.replay import Replayed
    from service.replaying import Other


def replay_of(
    store: StorePort,
    audit: AuditPort,
    cycle_id: str,
    other: Other,
    *,
    waiting: Callable[[str], AbstractContextManager[Any]] = lambda _said: nullcontext(),
) -> Replayed:
    """Return what a cycle comes to when it is run on its record, without network, with `other` in place of its own.

    Raises:
        InvalidInput: there is no such cycle. TapeMissing, TapeForged: its record is not whole.
    """
    from cycles.replay import replay, require
    from cycles.shelf import tapes_of
    from cycles.tape_check import check_tape
    from service.replaying import theatre, tool_classes

    cycle = store.cycle(cycle_id)
    if cycle is None:
        raise InvalidInput("cycle_id", f"{cycle_id} is not a cycle", "See `evercrew cycles list`")
    check_tape(cycle, store, audit)
    tapes = tapes_of(store, cycle_id)
    require(tapes, cycle)
    with waiting(f"replaying {len(tapes)} steps"):
        return replay(tapes, theatre(tapes, store, tool_classes(), other=other))
