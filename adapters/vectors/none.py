"""No vector index: asking it says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.vectors.base import IndexState, PointId, Reindexed, Value, not_configured
from domain.observation import Observation
from domain.permit import Permit


class NoVectors:
    """`VectorsPort` where none is configured: everything but `observe` and `check` raises ConfigurationError."""

    def status(self) -> IndexState:
        raise not_configured()

    def reindex(self, *, key: str, permit: Permit | None) -> Reindexed:
        raise not_configured()

    def quarantine(
        self, *, ids: Sequence[PointId], where: Mapping[str, Value], most: int, key: str, permit: Permit | None
    ) -> int:
        raise not_configured()

    def release(self, *, of: str, key: str, permit: Permit | None) -> int:
        raise not_configured()

    def observe(self, key: str) -> Observation:
        """Return that it cannot be known: the index that would know is configured no more."""
        return Observation.unknown("no vector index is configured")

    def check(self) -> str:
        """See `VectorsPort.check`; a platform may need no vector index."""
        return "vectors: none configured"
