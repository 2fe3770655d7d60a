"""What a review of a cycle says: its spans as a tree, and what the record is worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Reviewed(BaseModel):
    """One span of the review. Times and sums are None where nothing on record tells them."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    who: str = ""
    answer: str = ""
    reason: str = ""
    at: datetime | None = None
    seconds: float | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    model: str = ""
    policies: tuple[str, ...] = ()
    policy_hash: str = ""
    records: tuple[int, ...] = ()
    content: Mapping[str, Any] = Field(default_factory=dict)
    children: tuple[Reviewed, ...] = ()

    def below(self) -> Iterable[Reviewed]:
        """Give every span below this one."""
        for child in self.children:
            yield child
            yield from child.below()


class Review(BaseModel):
    """A whole cycle; `notes` say what the record is worth, and what is not on it."""

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    trace_id: str
    outcome: str
    verified: bool
    tree: Reviewed
    notes: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether the record has no hole."""
        return not any(note.startswith("!") for note in self.notes)
