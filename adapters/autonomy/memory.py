"""The record of autonomy in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from adapters.seen import check_seen
from domain.autonomy import Cap, Trial


class MemoryAutonomy:
    """An `AutonomyPort` on two collections."""

    def __init__(self) -> None:
        self._trials: dict[tuple[str, str], Trial] = {}
        self._caps: list[Cap] = []
        self._lock = threading.Lock()

    def add(self, trial: Trial) -> None:
        """See `AutonomyPort.add`."""
        with self._lock:
            self._trials.setdefault((trial.cycle_id, trial.kind), trial)

    def trials(self, kind: str, environment: str, since: datetime) -> Sequence[Trial]:
        """See `AutonomyPort.trials`."""
        with self._lock:
            found = [t for t in self._trials.values() if (t.kind, t.environment) == (kind, environment)]
        return sorted((t for t in found if t.at > since), key=lambda trial: (trial.at, trial.cycle_id))

    def cap(self, kind: str, environment: str, made: Callable[[], Cap], *, seen: Sequence[Cap] | None = None) -> Cap:
        """See `AutonomyPort.cap`."""
        with self._lock:
            here = [cap for cap in self._caps if (cap.kind, cap.environment) == (kind, environment)]
            check_seen(f"the cap of {kind}", seen, here)
            self._caps.append(made())
            return self._caps[-1]

    def caps(self, kind: str = "", environment: str = "") -> Sequence[Cap]:
        """See `AutonomyPort.caps`."""
        with self._lock:
            return [c for c in self._caps if kind in ("", c.kind) and environment in ("", c.environment)]
