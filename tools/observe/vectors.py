"""`vector_status`: how the vector index stands, and what probe searches find in it."""

from __future__ import annotations

from datetime import datetime

from adapters.vectors.base import VectorsPort
from domain.untrusted import Untrusted
from tools.tool import Call, Nothing, Result, Tool, ToolSpec


class VectorStatus(Result):
    """The collection's own word (green, yellow, grey, red), its size, and probe searches with its own points.

    `recall` is the share of the exact nearest neighbours that the index finds too, `latency_ms` the median of the
    probes; None where there was nothing to probe. `healthy` when `problems` is empty.
    """

    collection: str
    status: str
    healthy: bool
    problems: tuple[str, ...]
    points: int
    indexed: int
    segments: int
    quarantined: int
    pending_updates: int
    latency_ms: float | None
    recall: float | None
    probes: int
    probe_errors: int
    optimizer_error: Untrusted
    at: datetime


class VectorStatusRead(Tool[Nothing, VectorStatus]):
    """Asks the vector index."""

    spec = ToolSpec("vector_status", "How the vector index stands: status, optimizer, size, probe latency and recall.")
    input = Nothing
    output = VectorStatus

    def __init__(self, vectors: VectorsPort) -> None:
        self._vectors = vectors

    def run(self, args: Nothing, call: Call) -> VectorStatus:
        state = self._vectors.status()
        return VectorStatus(
            collection=state.collection,
            status=state.status.value,
            healthy=not state.problems,
            problems=state.problems,
            points=state.points,
            indexed=state.indexed,
            segments=state.segments,
            quarantined=state.quarantined,
            pending_updates=state.pending_updates,
            latency_ms=state.latency_ms.value,
            recall=state.recall.value,
            probes=state.recall.n,
            probe_errors=state.probe_errors,
            optimizer_error=Untrusted(text=state.optimizer_error, source="vector index"),
            at=state.at,
        )
