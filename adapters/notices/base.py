"""The notices port: what is to be told to people, kept until it is told; and how far what they are told of was read.

Contract: a notice is known by its channel and key, and put once, whoever puts it again. `take` lends a notice to one
caller for the time of a lease; who dies over it gives it back by that. A notice ends once: as sent, as part of a digest
(folded), or dead after too many attempts, where a person finds it and may `revive` it; nothing is dropped. `follow`
moves a cursor and puts what was found on the way in one transaction, and only from where the caller believes it is: of
two processes that read the same stretch, one is told no, so that nothing is told twice and nothing is left out.

The register (`begin`, `settle`, `forget`, `progress`) is what a channel without a memory of its own answers `observe`
by.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field


class NoticeState(StrEnum):
    """How a notice stands."""

    WAITING = "waiting"
    SENT = "sent"
    FOLDED = "folded"
    DEAD = "dead"


class Progress(StrEnum):
    """What is known of a key at a channel: begun and nothing more is not known to have been sent."""

    NONE = "none"
    BEGUN = "begun"
    SENT = "sent"


class NewNotice(BaseModel):
    """What is put: text for people, on one channel, not before `due_at`."""

    model_config = ConfigDict(frozen=True)

    channel: str = Field(min_length=1, max_length=40)
    key: str = Field(min_length=1, max_length=200)
    kind: str = Field(min_length=1, max_length=40)
    severity: str = Field(pattern=r"^(info|warning|critical)$")
    environment: str = ""
    cycle_id: str = ""
    title: str
    body: str
    link: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    due_at: datetime


class Notice(NewNotice):
    """A notice as it is kept. `reason` is why the last attempt failed, `folded_into` the key of its digest."""

    number: int
    put_at: datetime
    state: NoticeState = NoticeState.WAITING
    attempts: int = 0
    reason: str = ""
    settled_at: datetime | None = None
    folded_into: str = ""


class NoticeCounts(BaseModel):
    """How many notices there are in each state, and since when the oldest waits that was due."""

    model_config = ConfigDict(frozen=True)

    waiting: int = 0
    sent: int = 0
    folded: int = 0
    dead: int = 0
    oldest_due: datetime | None = None


class NoticesPort(Protocol):
    """The outbox. Every method raises a DependencyError when it cannot be used; nothing is changed then."""

    def put(self, notices: Sequence[NewNotice], *, now: datetime) -> int:
        """Keep notices, and return how many were new."""
        ...

    def take(self, channel: str, *, now: datetime, lease: timedelta, most: int) -> Sequence[Notice]:
        """Lend the notices of a channel that are due: the most severe first, then the oldest.

        They are due again after `lease`, unless they are settled by then.
        """
        ...

    def sent(self, numbers: Sequence[int], *, at: datetime) -> None:
        """Settle notices as sent."""
        ...

    def folded(self, numbers: Sequence[int], into: str, *, at: datetime) -> None:
        """Settle notices as told by the digest of key `into`."""
        ...

    def again(self, number: int, *, due: datetime, reason: str, counted: bool = True) -> None:
        """Give a notice back until `due`; `counted` is whether this was an attempt."""
        ...

    def dead(self, number: int, *, at: datetime, reason: str) -> None:
        """Settle a notice as one that could not be told."""
        ...

    def revive(self, number: int, *, at: datetime) -> bool:
        """Let a dead notice wait again from the start, and return whether there was one."""
        ...

    def told_since(self, channel: str, since: datetime) -> int:
        """Return how many messages a channel got since then: notices sent, and digests."""
        ...

    def listed(self, *, state: NoticeState | None = None, limit: int = 100) -> Sequence[Notice]:
        """Return notices, newest first."""
        ...

    def counts(self, channel: str = "", *, now: datetime | None = None) -> NoticeCounts:
        """Return how many there are, of a channel or of all; `oldest_due` of those that are due at `now`."""
        ...

    def prune(self, before: datetime) -> int:
        """Forget what was sent or folded before then, and what the register has of it; return how many notices."""
        ...

    def cursor(self, name: str) -> int | None:
        """Return how far something was read, or None when it never was."""
        ...

    def follow(self, name: str, *, after: int | None, upto: int, notices: Sequence[NewNotice], now: datetime) -> bool:
        """Move the cursor from `after` (None: it is not there) to `upto` and put the notices; False, and nothing is
        changed, when it stands elsewhere.
        """
        ...

    def begin(self, channel: str, key: str) -> Progress:
        """Note that the message under this key is about to be sent, and return what was known before."""
        ...

    def settle(self, channel: str, key: str) -> None:
        """Note that it was sent."""
        ...

    def forget(self, channel: str, key: str) -> None:
        """Note that it surely was not sent."""
        ...

    def progress(self, channel: str, key: str) -> Progress:
        """Return what is known of it."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...


SEVERITIES = ("critical", "warning", "info")
"""The most severe first."""
