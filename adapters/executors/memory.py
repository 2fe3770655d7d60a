"""Executors in memory: the same contract, for threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from adapters.executors.base import SEPARATOR, Lease, Member
from domain.clock import Clock
from domain.errors import ConflictError, InvalidInput


@dataclass
class _Entry:
    generation: int
    ttl: float
    beat: float
    fenced: bool = False


class MemoryExecutors:
    """An `ExecutorsPort` for tests and embedding."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def join(self, executor: str, ttl: timedelta) -> Lease:
        """See `ExecutorsPort.join`."""
        lease = lease_of(executor, 1)
        with self._lock:
            known = self._entries.get(executor)
            if known is not None and self._alive(known):
                raise taken(executor, ttl)
            generation = known.generation + 1 if known else 1
            self._entries[executor] = _Entry(generation, ttl.total_seconds(), self._clock.monotonic())
        return lease.model_copy(update={"generation": generation})

    def beat(self, lease: Lease) -> bool:
        """See `ExecutorsPort.beat`."""
        with self._lock:
            entry = self._held(lease)
            if entry is None:
                return False
            entry.beat = self._clock.monotonic()
            return True

    def holds(self, lease: Lease) -> bool:
        """See `ExecutorsPort.holds`."""
        with self._lock:
            return self._held(lease) is not None

    def fence(self, owner: str) -> bool:
        """See `ExecutorsPort.fence`."""
        executor, generation = parsed(owner)
        with self._lock:
            entry = self._entries.get(executor)
            if entry is None or entry.generation != generation or entry.fenced:
                return True
            entry.fenced = not self._alive(entry)
            return entry.fenced

    def leave(self, lease: Lease) -> None:
        """See `ExecutorsPort.leave`."""
        with self._lock:
            entry = self._held(lease)
            if entry is not None:
                entry.fenced = True

    def members(self) -> Sequence[Member]:
        """See `ExecutorsPort.members`."""
        now = self._clock.monotonic()
        with self._lock:
            return [
                Member(
                    lease=Lease(executor=name, generation=entry.generation),
                    alive=self._alive(entry),
                    silent=timedelta(seconds=now - entry.beat),
                )
                for name, entry in sorted(self._entries.items())
                if not entry.fenced
            ]

    def _held(self, lease: Lease) -> _Entry | None:
        entry = self._entries.get(lease.executor)
        return entry if entry and entry.generation == lease.generation and not entry.fenced else None

    def _alive(self, entry: _Entry) -> bool:
        return not entry.fenced and self._clock.monotonic() - entry.beat < entry.ttl


def lease_of(executor: str, generation: int) -> Lease:
    """Return a lease.

    Raises:
        InvalidInput: the name is none.
    """
    try:
        return Lease(executor=executor, generation=generation)
    except ValueError as problem:
        remedy = "Use letters, digits and . _ : -, a hundred at most"
        raise InvalidInput("executor_id", f"{executor!r} is no name of an executor", remedy) from problem


def parsed(owner: str) -> tuple[str, int]:
    """Return the name and the generation of an owner; generation 0, which nobody ever has, where it has none."""
    executor, _, generation = owner.rpartition(SEPARATOR)
    return (executor, int(generation)) if executor and generation.isdigit() else (owner, 0)


def taken(executor: str, ttl: timedelta) -> ConflictError:
    """Return the error for a name that somebody alive has."""
    return ConflictError(
        f"another process runs as executor {executor}: give this one another EVERCREW_EXECUTOR_ID, or stop that one "
        f"and wait {ttl.total_seconds():g} s"
    )
