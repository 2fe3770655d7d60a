"""The inbox port: alerts are accepted durably, and each is handled exactly once, in order.

Contract: `put` returns after everything it was given is on disk; many that put at once share a flush. Letters wait in
lanes, one for each target (with its parts) and environment. `turn` handles the letters of one lane that wait, oldest
first, in one transaction with what handling them changes (incidents kept, cycles opened): a process that dies in
between has handled none of them, and no two processes handle a lane at once. Lanes take turns: whichever was served
longest ago is next, so a lane with ten thousand letters delays no other by more than a turn. A letter that cannot be
handled is set aside with the reason and does not block those behind it. Over its limit the inbox refuses, and says when
to come again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.alert import Alert, AlertStatus
from domain.cycle import Cycle
from domain.errors import DependencyUnavailable

MOST_A_TURN = 200
# Where the store keeps that a cycle was released.
RELEASED = "incidents/released"


class InboxFull(DependencyUnavailable):
    """Too many letters wait: nothing was accepted; the sender comes again after `retry_after`."""

    def __init__(self, waiting: int, limit: int, retry_after: timedelta) -> None:
        problem = f"{waiting} alerts wait and {limit} may; come again in {retry_after.total_seconds():g} s"
        super().__init__("inbox", problem, "Start another `evercrew worker`, or find out why alerts are not taken")
        self.retry_after = retry_after


class Fate(StrEnum):
    """What became of a letter."""

    OPENED = "opened"
    JOINED = "joined"
    DUPLICATE = "duplicate"
    FLAPPING = "flapping"
    RESOLVED = "resolved"
    STALE = "stale"
    POISON = "poison"


def lane_of(environment: str, target: str) -> str:
    """Return whose turn it is, when more is to be done than can be at once."""
    return f"{environment}/{target.partition('/')[0]}"


class NewLetter(BaseModel):
    """An alert as it is put in; `ended_at` is when it was resolved, where it was."""

    model_config = ConfigDict(frozen=True)

    alert: Alert
    ended_at: datetime | None = None

    @property
    def lane(self) -> str:
        """The lane it waits in: targets ``shop/search`` and ``shop/ads`` share one."""
        return lane_of(self.alert.environment, self.alert.target)


class Letter(NewLetter):
    """A letter that waits; `number` grows with every letter accepted."""

    number: int


class Incident(BaseModel):
    """What is known of an alert by its fingerprint: whether it fires, since when, and the last cycle it led to.

    `changed_at` is the moment of the last change that is known, by the clock of whoever sends alerts. A firing that
    came so soon after the last one that it is looked at again later is held until `held_until`, by our clock.
    """

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    status: AlertStatus
    starts_at: datetime
    changed_at: datetime
    cycle_id: str = ""
    flaps: int = 0
    letters: int = 0
    held_until: datetime | None = None


class Settled(BaseModel):
    """A letter came to something."""

    model_config = ConfigDict(frozen=True)

    incident: Incident
    fate: Fate
    cycle_id: str = ""


class Held(BaseModel):
    """A letter goes on waiting, until `again`."""

    model_config = ConfigDict(frozen=True)

    incident: Incident
    again: datetime


Handled = Settled | Held


class Opener(Protocol):
    """Opens cycles inside the transaction of a turn."""

    def present(self, alert: Alert) -> Cycle | None:
        """Return the open cycle of the alert's target and environment, or None."""
        ...

    def open(self, alert: Alert) -> tuple[Cycle, bool]:
        """Return the open cycle of the alert's target and environment, and whether it is new."""
        ...

    def released(self, cycle_id: str) -> bool:
        """Return whether the cycle was released: nothing may join it any more."""
        ...


Handler = Callable[[Letter, Incident | None, Opener], Handled]


class Turn(BaseModel):
    """What a turn came to: the lane, letters by fate, and the cycles that were opened or joined."""

    model_config = ConfigDict(frozen=True)

    lane: str
    fates: dict[Fate, int] = Field(default_factory=dict)
    opened: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    held: int = 0

    @property
    def handled(self) -> int:
        """How many letters were settled."""
        return sum(self.fates.values())


class Aside(BaseModel):
    """What was sent and is no letter: its beginning, and the reason."""

    model_config = ConfigDict(frozen=True)

    number: int
    at: datetime
    reason: str
    text: str


class Counts(BaseModel):
    """How the inbox stands; `oldest` is when the letter that waits longest was accepted."""

    model_config = ConfigDict(frozen=True)

    waiting: int
    settled: dict[Fate, int] = Field(default_factory=dict)
    aside: int = 0
    oldest: datetime | None = None


class InboxPort(Protocol):
    """Keeps alerts until they are handled. Every method raises a DependencyError when the database cannot be used."""

    def put(self, letters: Sequence[NewLetter]) -> None:
        """Accept letters, in this order within a lane; returns when all of them are on disk.

        Raises:
            InboxFull: too many wait; none of these was accepted.
        """
        ...

    def set_aside(self, text: str, reason: str) -> int:
        """Keep what is no letter (its first 64 KiB), with the reason, and return its number."""
        ...

    def turn(self, handle: Handler, *, now: datetime, most: int = MOST_A_TURN) -> Turn | None:
        """Handle the letters of one lane that wait; None when there is nothing to do.

        Raises:
            DependencyError: a part that handling needs does not answer; everything in the lane goes on waiting.
        """
        ...

    def incident(self, lane: str, fingerprint: str) -> Incident | None:
        """Return what is known of an alert, or None."""
        ...

    def fires(self, lane: str, cycle_id: str) -> bool | None:
        """Return whether an alert that led to the cycle fires still; None where no alert of the lane led to it."""
        ...

    def release(self, lane: str, cycle_id: str) -> bool:
        """Release a cycle none of whose alerts fires any more, and return whether it is released, now or before.

        In one transaction with the look, and one at a time with turns: what fires from then on is told that the cycle
        is released (`Opener.released`), so nothing joins a cycle that ends for want of an alert.
        """
        ...

    def aside(self, limit: int = 100) -> Sequence[Aside]:
        """Return what was set aside, newest first; letters that could not be handled among it."""
        ...

    def counts(self) -> Counts:
        """Return how many letters wait and what became of the others."""
        ...

    def prune(self, before: datetime) -> int:
        """Delete letters settled, incidents resolved and texts set aside before then, and return how many those are."""
        ...
