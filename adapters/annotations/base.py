"""The annotations port.

Contract: a mark is put on the dashboards with a permit; the key goes with it as a tag, and the same key is one mark.
Readings need no permit.
"""

from __future__ import annotations

from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.observation import Observation
from domain.permit import Permit

EFFECT_ANNOTATE = "annotations.annotate"


class Annotation(BaseModel):
    """A moment, or with `ends_at` a stretch of time, and what happened then."""

    model_config = ConfigDict(frozen=True)

    text: str = Field(min_length=1, max_length=2000)
    at: AwareDatetime
    ends_at: AwareDatetime | None = None
    tags: tuple[str, ...] = ()


class AnnotationsPort(Protocol):
    """Puts marks on dashboards. `configured` is False where there are none."""

    configured: bool

    def annotate(self, annotation: Annotation, *, key: str, permit: Permit | None) -> str:
        """Put the mark up once, and return its id.

        Raises:
            PermitError: the permit does not cover this; nothing was marked.
            DependencyUnavailable, DependencyTimeout, DependencyLied: the dashboard's trouble.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return whether the mark of this key is there; outcome has ``id``."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError or ConfigurationError that says how to mend it."""
        ...
