"""The retrieval port: texts like this one among past cycles and runbooks. Contract: deterministic, offline, no model
call on write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field


class Passage(BaseModel):
    """A retrieved text; `score` in [0, 1], higher is closer."""

    model_config = ConfigDict(frozen=True)

    id: str
    text: str
    score: float = 0.0
    facts: Mapping[str, str] = Field(default_factory=dict)


class RetrievalPort(Protocol):
    """Adds and finds passages."""

    def add(self, passage: Passage) -> None:
        """Add a passage; the same id replaces it."""
        ...

    def similar(self, text: str, limit: int = 3) -> Sequence[Passage]:
        """Return the closest passages, best first, ties by id."""
        ...
