"""What happens while a cycle runs, for whoever looks on (terminal, page, tests); looking on changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field


class Event(BaseModel):
    """One thing that happened.

    `kind` is ``stage``, ``call``, ``agent``, ``model``, ``budget``, ``loop``, ``approval`` or ``note``.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    cycle_id: str
    stage: str = ""
    who: str = ""
    what: str = ""
    answer: str = ""
    details: Mapping[str, Any] = Field(default_factory=dict)


class Observer(Protocol):
    """Told of every event."""

    def __call__(self, event: Event) -> None: ...


def nobody(event: Event) -> None:
    """The observer that does not look."""
