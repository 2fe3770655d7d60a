"""The requests port: which writes were asked for under which key, and what each came to.

Contract: a key belongs to its caller and stands for one request for as long as it is kept. `begin` is one transaction:
of any number of callers, in whichever thread or process, exactly one is given a ticket; the others are told that it is
worked on, and later what it came to. A ticket whose lease is over is one of a process that died: the next caller is
given a new one, and what the old one still brings is not kept. Nothing is kept of a request that was given up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import ConflictError


class RequestDiffers(ConflictError):
    """The key stands for another request of this caller."""


class RequestInFlight(ConflictError):
    """The request is being worked on."""


class Answer(BaseModel):
    """What a request came to, as it was sent."""

    model_config = ConfigDict(frozen=True)

    status: int
    media_type: str
    body: str
    headers: Mapping[str, str] = Field(default_factory=dict)


class RequestsPort(Protocol):
    """Where requests are kept. Every method raises a DependencyError when that place cannot be used."""

    def begin(self, caller: str, key: str, request: str, *, at: datetime, lease: timedelta) -> str | Answer:
        """Return a ticket for the work, or the answer where it is done.

        Args:
            request: hash of all that makes two requests the same one.
            lease: how long the work may take before somebody else may take it up.

        Raises:
            RequestDiffers: the key stands for another request. RequestInFlight: somebody works on it.
        """
        ...

    def finish(self, ticket: str, answer: Answer, *, at: datetime) -> bool:
        """Keep the answer; False, and nothing is kept, when the ticket is none any more."""
        ...

    def abandon(self, ticket: str) -> None:
        """Forget the request, so that it can be made again; a ticket that is none any more changes nothing."""
        ...

    def prune(self, before: datetime) -> int:
        """Forget what was begun before then, and return how many those were."""
        ...
