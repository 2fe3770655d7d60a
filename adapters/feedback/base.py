"""The feedback port: what users say of their results, event by event, as it was told.

Contract: nothing is filtered, joined or averaged here; queries, ids and user agents are as users sent them: untrusted.
Reads are bounded by `limit`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, model_validator

from domain.errors import ConfigurationError, InvalidInput

MOST_EVENTS = 200_000


class Kind(StrEnum):
    """A click (value 1), a thumb (1 up, -1 down), or a rating from 1 to 5."""

    CLICK = "click"
    THUMB = "thumb"
    RATING = "rating"


class FeedbackEvent(BaseModel):
    """One thing a user said. `event_id` is empty where the source has none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ts: datetime
    user_id: str
    query: str
    doc_id: str | None = None
    kind: Kind
    value: float = 1.0
    user_agent: str = ""
    event_id: str = ""

    @model_validator(mode="after")
    def _sensible(self) -> FeedbackEvent:
        allowed = {Kind.CLICK: (1.0, 1.0), Kind.THUMB: (-1.0, 1.0), Kind.RATING: (1.0, 5.0)}
        low, high = allowed[self.kind]
        if not low <= self.value <= high or (self.kind is Kind.THUMB and self.value == 0):
            raise ValueError(f"value: {self.value} is no {self.kind.value}")
        return self


class FeedbackPort(Protocol):
    """Where feedback is."""

    def events(self, since: datetime, until: datetime, limit: int = 50_000) -> list[FeedbackEvent]:
        """Return the newest `limit` events of [since, until), oldest first.

        Raises:
            InvalidInput: the span or the limit is not usable.
            DependencyLied: a row breaks the form.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise an error that names the remedy."""
        ...


def checked(since: datetime, until: datetime, limit: int) -> None:
    """Return when events can be asked for.

    Raises:
        InvalidInput: names the argument.
    """
    if until <= since:
        raise InvalidInput("until", f"{until.isoformat()} is not after since", "Give a later time")
    if not 1 <= limit <= MOST_EVENTS:
        raise InvalidInput("limit", f"{limit} is not a number of events", f"Ask for 1 to {MOST_EVENTS}")


def not_configured() -> ConfigurationError:
    """Return the error of feedback that is not there."""
    return ConfigurationError(
        "feedback", "no source of feedback is configured", "Add the section feedback with kind platform or table"
    )
