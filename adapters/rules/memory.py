"""Overrides in memory: the same contract, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from adapters.seen import check_seen
from domain.errors import InvalidInput
from domain.override import Override

NO_SUCH = "See `evercrew overrides list --all`"


class MemoryRules:
    """A `RulesPort` for tests and embedding."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Override] = {}
        self._seen: set[str] = set()

    def add(
        self,
        override: Override,
        *,
        seen: Sequence[Override] | None = None,
        first: Callable[[], object] | None = None,
    ) -> None:
        """See `RulesPort.add`."""
        with self._lock:
            here = [each for each in self._kept.values() if each.environment == override.environment]
            check_seen("the overrides", seen, here)
            known = self._kept.get(override.id)
            if known not in (None, override):
                raise InvalidInput("override", f"{override.id} is another one already", "Add it once more")
            if first is not None:
                first()
            self._kept[override.id] = override

    def end(
        self,
        override_id: str,
        *,
        by: str,
        at: datetime,
        seen: Override | None = None,
        first: Callable[[], object] | None = None,
    ) -> Override:
        """See `RulesPort.end`."""
        with self._lock:
            known = self._kept.get(override_id)
            if known is None:
                raise InvalidInput("override", f"{override_id} is not an override", NO_SUCH)
            check_seen(override_id, None if seen is None else [seen], [known])
            if known.ended_at is None:
                if known.expires <= at:
                    raise InvalidInput("override", f"{override_id} has expired", NO_SUCH)
                if first is not None:
                    first()
                known = known.model_copy(update={"ended_at": at, "ended_by": by})
                self._kept[override_id] = known
            return known

    def overrides(self, *, environment: str = "", in_force_at: datetime | None = None) -> Sequence[Override]:
        """See `RulesPort.overrides`."""
        with self._lock:
            found = sorted(self._kept.values(), key=lambda o: (o.at, o.id))
        return [
            o for o in found if environment in ("", o.environment) and (in_force_at is None or o.in_force(in_force_at))
        ]

    def unseen(self, now: datetime) -> Sequence[Override]:
        """See `RulesPort.unseen`."""
        with self._lock:
            return [
                o
                for o in sorted(self._kept.values(), key=lambda o: (o.at, o.id))
                if o.ended_at is None and o.expires <= now and o.id not in self._seen
            ]

    def see_expiry(self, override_id: str) -> bool:
        """See `RulesPort.see_expiry`."""
        with self._lock:
            first = override_id in self._kept and override_id not in self._seen
            self._seen.add(override_id)
            return first
