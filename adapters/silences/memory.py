"""Silences in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from adapters.silences.base import EFFECT_EXPIRE, EFFECT_SILENCE, Matcher, Silence, refuse_unbounded
from domain.clock import Clock
from domain.errors import InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class MemorySilences:
    """A `SilencesPort` that keeps what was silenced, by key."""

    configured = True

    def __init__(self, permits: PermitVerifier, clock: Clock) -> None:
        self._permits = permits
        self._clock = clock
        self._lock = threading.Lock()
        self.kept: dict[str, Silence] = {}

    def silence(
        self,
        matchers: Sequence[Matcher],
        starts: datetime,
        ends: datetime,
        comment: str,
        *,
        key: str,
        permit: Permit | None,
    ) -> str:
        """See `SilencesPort.silence`."""
        self._permits.spend(permit, effect=EFFECT_SILENCE, key=key)
        refuse_unbounded(matchers, starts, ends)
        with self._lock:
            made = Silence(
                id=f"silence-{len(self.kept) + 1}",
                matchers=tuple(matchers),
                starts_at=starts,
                ends_at=ends,
                comment=comment,
            )
            return self.kept.setdefault(key, made).id

    def expire(self, silence_id: str, *, key: str, permit: Permit | None) -> None:
        """See `SilencesPort.expire`."""
        self._permits.spend(permit, effect=EFFECT_EXPIRE, key=key)
        with self._lock:
            name, found = self._find(silence_id)
            now = self._clock.now()
            if found.ends_at > now:
                self.kept[name] = found.model_copy(update={"starts_at": min(found.starts_at, now), "ends_at": now})

    def active(self) -> Sequence[Silence]:
        """See `SilencesPort.active`."""
        now = self._clock.now()
        return sorted((s for s in self.kept.values() if s.ends_at > now), key=lambda s: s.ends_at)

    def ended(self, silence_id: str) -> bool:
        """See `SilencesPort.ended`."""
        return self._find(silence_id)[1].ends_at <= self._clock.now()

    def observe(self, key: str) -> Observation:
        """See `SilencesPort.observe`."""
        found = self.kept.get(key)
        return Observation.absent() if found is None else Observation.done({"id": found.id})

    def check(self) -> str:
        """See `SilencesPort.check`."""
        return f"silences: in memory, {len(self.active())} active"

    def _find(self, silence_id: str) -> tuple[str, Silence]:
        for key, found in self.kept.items():
            if found.id == silence_id:
                return key, found
        raise InvalidInput("silence", f"{silence_id!r} is not a silence", "Give the id that silencing returned")
