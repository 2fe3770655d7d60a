"""A vector index in memory, for tests and embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.vectors.base import (
    EFFECT_QUARANTINE,
    EFFECT_REINDEX,
    EFFECT_RELEASE,
    IndexState,
    PointId,
    Reindexed,
    Status,
    Value,
    checked,
    too_many,
)
from domain.clock import Clock
from domain.errors import InvalidInput
from domain.measurement import Measurement
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


@dataclass
class _Point:
    payload: Mapping[str, Value] = field(default_factory=dict)
    held_by: str = ""
    released_by: str = ""
    held: bool = False


class MemoryVectors:
    """`VectorsPort` over payloads by id; `state` is what it says of itself, `reindexed` what was done by key."""

    def __init__(
        self,
        *,
        permits: PermitVerifier,
        clock: Clock,
        points: Mapping[PointId, Mapping[str, Value]] | None = None,
        collection: str = "memory",
    ) -> None:
        self._permits = permits
        self._clock = clock
        self._collection = collection
        self._points = {point: _Point(payload) for point, payload in (points or {}).items()}
        self.reindexed: dict[str, Reindexed] = {}
        self.state: Mapping[str, object] = {}

    def status(self) -> IndexState:
        """See `VectorsPort.status`."""
        n, now = len(self._points), self._clock.now()
        probed = Measurement(value=1.0 if n else None, unit="ms", n=min(n, 8), source="memory", at=now)
        state = IndexState(
            collection=self._collection,
            status=Status.GREEN,
            points=n,
            indexed=n,
            segments=1,
            quarantined=len(self.held),
            latency_ms=probed,
            recall=probed.model_copy(update={"unit": "share"}),
            at=now,
        )
        return state.model_copy(update=dict(self.state))

    @property
    def held(self) -> list[PointId]:
        """The points in quarantine."""
        return [name for name, point in self._points.items() if point.held]

    def reindex(self, *, key: str, permit: Permit | None) -> Reindexed:
        """See `VectorsPort.reindex`."""
        self._permits.spend(permit, effect=EFFECT_REINDEX, key=key)
        before = 100 + len(self.reindexed) % 2
        done = Reindexed(
            collection=self._collection,
            ef_construct_before=before,
            ef_construct_after=before ^ 1,
            at=self._clock.now(),
        )
        return self.reindexed.setdefault(key, done)

    def quarantine(
        self, *, ids: Sequence[PointId], where: Mapping[str, Value], most: int, key: str, permit: Permit | None
    ) -> int:
        """See `VectorsPort.quarantine`."""
        self._permits.spend(permit, effect=EFFECT_QUARANTINE, key=key)
        checked(ids, where, most)
        chosen = [
            point
            for name, point in self._points.items()
            if (not ids or name in ids)
            and all(point.payload.get(k) == v for k, v in where.items())
            and not point.held
            and point.held_by != key
        ]
        if len(chosen) > most:
            raise too_many(len(chosen), most)
        for point in chosen:
            point.held, point.held_by = True, key
        return self._count("held_by", key)

    def release(self, *, of: str, key: str, permit: Permit | None) -> int:
        """See `VectorsPort.release`."""
        self._permits.spend(permit, effect=EFFECT_RELEASE, key=key)
        if not self._count("held_by", of):
            raise InvalidInput("of", "there is no quarantine with the key", "Name the key of a quarantine")
        for point in self._points.values():
            if point.held and point.held_by == of:
                point.held, point.released_by = False, key
        return self._count("released_by", key)

    def observe(self, key: str) -> Observation:
        """See `VectorsPort.observe`."""
        if key in self.reindexed:
            return Observation.done(self.reindexed[key].model_dump(mode="json"))
        if held := self._count("held_by", key):
            return Observation.done({"quarantined": held})
        if released := self._count("released_by", key):
            return Observation.done({"released": released})
        return Observation.absent("the index holds nothing under the key")

    def check(self) -> str:
        """See `VectorsPort.check`."""
        return f"memory: {len(self._points)} points"

    def _count(self, name: str, key: str) -> int:
        return sum(getattr(point, name) == key for point in self._points.values())
