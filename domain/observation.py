"""What can be found out about an effect after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Seen(StrEnum):
    """Done closes the intent, absent lets it be repeated, unknown stops for a person."""

    DONE = "done"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Observation(BaseModel):
    """The answer of an adapter's `observe(key)`; `outcome` is what the effect returned, where it is done."""

    model_config = ConfigDict(frozen=True)

    seen: Seen
    outcome: Mapping[str, Any] = Field(default_factory=dict)
    detail: str = ""

    @classmethod
    def done(cls, outcome: Mapping[str, Any]) -> Observation:
        return cls(seen=Seen.DONE, outcome=outcome)

    @classmethod
    def absent(cls, detail: str = "") -> Observation:
        return cls(seen=Seen.ABSENT, detail=detail)

    @classmethod
    def unknown(cls, detail: str) -> Observation:
        return cls(seen=Seen.UNKNOWN, detail=detail)
