"""The store in memory: the same contract, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapters.seen import check_seen
from adapters.store.base import FlagChange, FlagRow, Moment, Recording, Tombstone
from domain.alert import Alert
from domain.canonical import json_ready
from domain.cycle import Cycle
from domain.errors import InvalidInput
from domain.ids import cycle_id
from domain.stage import Stage
from domain.wanted import Wanted, place_of


class MemoryStore:
    """A `StorePort` for tests and embedding."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cycles: dict[str, Cycle] = {}
        self._flags: dict[tuple[str, str], FlagRow] = {}
        self._changes: list[FlagChange] = []
        self._stones: dict[str, Tombstone] = {}
        self._recordings: dict[tuple[str, str], Recording] = {}

    def open_cycle(self, alert: Alert, at: datetime) -> tuple[Cycle, bool]:
        """See `StorePort.open_cycle`."""
        with self._lock:
            for known in self._cycles.values():
                if (known.target, known.environment) == (alert.target, alert.environment) and not known.stage.terminal:
                    return known, False
            cycle = Cycle(
                id=cycle_id(at.astimezone(UTC).date(), self._count(at) + 1),
                alert=alert,
                target=alert.target,
                environment=alert.environment,
                stage=Stage.OBSERVE,
                opened_at=at,
                updated_at=at,
            )
            self._cycles[cycle.id] = cycle
            return cycle, True

    def cycle(self, cycle_id: str) -> Cycle | None:
        """See `StorePort.cycle`."""
        with self._lock:
            return self._cycles.get(cycle_id)

    def moment(self, cycle_id: str, digest: str = "") -> Moment | None:
        """See `StorePort.moment`."""
        cycle = self.cycle(cycle_id)
        if cycle is None:
            return None
        entombed = bool(digest) and self.tombstone(digest) is not None
        return Moment(cycle, self.cycles_on(cycle.opened_at), entombed, self.flags())

    def save(self, cycle: Cycle) -> None:
        """See `StorePort.save`. A cancel request made meanwhile by somebody else survives the save."""
        plain = {"facts": _plain("facts", cycle.facts), "timings": _plain("timings", cycle.timings)}
        with self._lock:
            known = self._known(cycle.id)
            asked = known.cancel_requested or cycle.cancel_requested
            self._cycles[cycle.id] = cycle.model_copy(
                update={**plain, "cancel_requested": asked, "opened_at": known.opened_at}
            )

    def request_cancel(self, cycle_id: str) -> None:
        """See `StorePort.request_cancel`."""
        with self._lock:
            known = self._known(cycle_id)
            if known.stage.terminal:
                raise InvalidInput(
                    "cycle_id", f"{cycle_id} has ended ({known.stage.value})", "Only an open cycle can be cancelled"
                )
            self._cycles[cycle_id] = known.model_copy(update={"cancel_requested": True})

    def cycles(self, *, open_only: bool = False, limit: int = 100) -> Sequence[Cycle]:
        """See `StorePort.cycles`."""
        with self._lock:
            found = [cycle for cycle in self._cycles.values() if not (open_only and cycle.stage.terminal)]
        return sorted(found, key=_place, reverse=True)[:limit]

    def found(self, wanted: Wanted, *, before: str = "", limit: int = 100) -> Sequence[Cycle]:
        """See `StorePort.found`."""
        with self._lock:
            fitting = [cycle for cycle in self._cycles.values() if wanted.fits(cycle)]
        behind = [c for c in fitting if not before or place_of(c.id) < place_of(before)]
        return sorted(behind, key=_place, reverse=True)[:limit]

    def ended(self, target: str, environment: str, *, limit: int = 10) -> Sequence[Cycle]:
        """See `StorePort.ended`."""
        with self._lock:
            same = [c for c in self._cycles.values() if (c.target, c.environment) == (target, environment)]
        over = [cycle for cycle in same if cycle.stage.terminal]
        return sorted(over, key=lambda c: (c.updated_at, _place(c)), reverse=True)[:limit]

    def cycles_on(self, day: datetime) -> int:
        """See `StorePort.cycles_on`."""
        with self._lock:
            return self._count(day)

    def flags(self) -> Sequence[FlagRow]:
        """See `StorePort.flags`."""
        with self._lock:
            return [self._flags[key] for key in sorted(self._flags)]

    def set_flag(
        self,
        flag: FlagRow,
        *,
        by: str,
        at: datetime,
        seen: Sequence[FlagRow] | None = None,
        first: Callable[[], object] | None = None,
    ) -> None:
        """See `StorePort.set_flag`."""
        plain = flag.model_copy(update={"details": _plain("details", flag.details)})
        with self._lock:
            check_seen(flag.name, seen, [row for row in self._flags.values() if row.name == flag.name])
            if first is not None:
                first()
            self._flags[(flag.name, flag.environment)] = plain
            self._changes.append(FlagChange(**plain.__dict__, by=by, at=at))

    def flag_history(self, name: str = "", *, limit: int = 100) -> Sequence[FlagChange]:
        """See `StorePort.flag_history`."""
        with self._lock:
            return [change for change in reversed(self._changes) if name in ("", change.name)][:limit]

    def entomb(self, stone: Tombstone) -> None:
        """See `StorePort.entomb`."""
        with self._lock:
            self._stones.setdefault(stone.digest, stone)

    def tombstone(self, digest: str) -> Tombstone | None:
        """See `StorePort.tombstone`."""
        with self._lock:
            return self._stones.get(digest)

    def record(self, recording: Recording) -> None:
        """See `StorePort.record`."""
        plain = recording.model_copy(update={"payload": _plain("payload", recording.payload)})
        with self._lock:
            self._recordings[(recording.cycle_id, recording.place)] = plain

    def claim(self, recording: Recording) -> bool:
        """See `StorePort.claim`."""
        plain = recording.model_copy(update={"payload": _plain("payload", recording.payload)})
        with self._lock:
            return self._recordings.setdefault((recording.cycle_id, recording.place), plain) is plain

    def recordings(self, cycle_id: str, prefix: str = "") -> Sequence[Recording]:
        """See `StorePort.recordings`."""
        with self._lock:
            return [
                recording
                for (cycle, place), recording in self._recordings.items()
                if cycle == cycle_id and place.startswith(prefix)
            ]

    def check(self) -> str:
        """See `StorePort.check`."""
        return f"store: in memory, {len(self._cycles)} cycles"

    def _count(self, at: datetime) -> int:
        day = at.astimezone(UTC).date()
        return sum(1 for cycle in self._cycles.values() if cycle.opened_at.astimezone(UTC).date() == day)

    def _known(self, cycle: str) -> Cycle:
        if cycle not in self._cycles:
            raise InvalidInput(
                "cycle_id", f"there is no cycle {cycle}", "Run `evercrew cycles list` for those there are"
            )
        return self._cycles[cycle]


def _place(cycle: Cycle) -> tuple[str, int]:
    day, _, number = cycle.id.rpartition("_")
    return day, int(number)


def _plain(field: str, value: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json_ready(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(field, str(error), "Hand over plain JSON: no NaN, no infinities, no objects") from error
