"""No dashboards are configured: nothing is marked, and nothing pretends to be."""

from __future__ import annotations

from adapters.annotations.base import EFFECT_ANNOTATE, Annotation
from domain.errors import ConfigurationError
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class NoAnnotations:
    """An `AnnotationsPort` for where there are none; the tool that would use it is not offered."""

    configured = False

    def __init__(self, permits: PermitVerifier) -> None:
        self._permits = permits

    def annotate(self, annotation: Annotation, *, key: str, permit: Permit | None) -> str:
        """Refuse; see `AnnotationsPort.annotate`."""
        self._permits.spend(permit, effect=EFFECT_ANNOTATE, key=key)
        raise ConfigurationError("grafana", "is not configured", "Add the section, or do not ask for annotations")

    def observe(self, key: str) -> Observation:
        """See `AnnotationsPort.observe`."""
        return Observation.absent("no dashboards are configured")

    def check(self) -> str:
        """See `AnnotationsPort.check`."""
        return "annotations: none; promotions and rollbacks are not marked on dashboards (section grafana)"
