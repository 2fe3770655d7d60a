"""Annotations in memory."""

from __future__ import annotations

import threading

from adapters.annotations.base import EFFECT_ANNOTATE, Annotation
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class MemoryAnnotations:
    """An `AnnotationsPort` that keeps what was marked, by key, in order."""

    configured = True

    def __init__(self, permits: PermitVerifier) -> None:
        self._permits = permits
        self._lock = threading.Lock()
        self.kept: dict[str, Annotation] = {}

    def annotate(self, annotation: Annotation, *, key: str, permit: Permit | None) -> str:
        """See `AnnotationsPort.annotate`."""
        self._permits.spend(permit, effect=EFFECT_ANNOTATE, key=key)
        with self._lock:
            self.kept.setdefault(key, annotation)
            return self._id(key)

    def observe(self, key: str) -> Observation:
        """See `AnnotationsPort.observe`."""
        return Observation.done({"id": self._id(key)}) if key in self.kept else Observation.absent()

    def check(self) -> str:
        """See `AnnotationsPort.check`."""
        return f"annotations: in memory, {len(self.kept)} marks"

    def _id(self, key: str) -> str:
        return str(list(self.kept).index(key) + 1)
