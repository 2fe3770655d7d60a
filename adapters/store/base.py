"""The store port: cycles, feature flags, tombstones, recordings and budgets.

Contract: writes are transactions; opening a cycle is atomic (one open cycle per target and environment, ids in
sequence per day). What is saved is plain JSON; NaN and infinities are an `InvalidInput`. A cancel request is never
undone by a `save` that did not know of it. A store that cannot be reached raises `DependencyUnavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.alert import Alert
from domain.cycle import Cycle
from domain.wanted import Wanted


class FlagRow(BaseModel):
    """One row of table ``feature_flags``; environment ``all`` is the default for every environment."""

    model_config = ConfigDict(frozen=True)

    name: str
    enabled: bool
    environment: str = "all"
    details: Mapping[str, Any] = Field(default_factory=dict)


class FlagChange(FlagRow):
    """One change of a flag: to what, by whom, when."""

    by: str
    at: datetime


class Tombstone(BaseModel):
    """A model digest that was tried and rolled back: it cannot be proposed again."""

    model_config = ConfigDict(frozen=True)

    digest: str
    cycle_id: str
    reason: str
    at: datetime


class Recording(BaseModel):
    """One input that is not a pure function of the cycle so far, keyed by its place in the cycle."""

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    place: str
    kind: str
    payload: Mapping[str, Any]


class Moment(NamedTuple):
    """What a decision about a call of a cycle is made by, read at once.

    `cycles_that_day` were opened on the UTC day of this cycle's opening, itself included.
    """

    cycle: Cycle
    cycles_that_day: int
    entombed: bool
    flags: Sequence[FlagRow]


class StorePort(Protocol):
    """What Evercrew remembers."""

    def open_cycle(self, alert: Alert, at: datetime) -> tuple[Cycle, bool]:
        """Return the open cycle of the alert's target and environment, and whether it is new."""
        ...

    def cycle(self, cycle_id: str) -> Cycle | None:
        """Return a cycle, or None."""
        ...

    def moment(self, cycle_id: str, digest: str = "") -> Moment | None:
        """Return a cycle with the flags as they are now, and whether `digest` has a tombstone; None without a cycle."""
        ...

    def save(self, cycle: Cycle) -> None:
        """Replace the stored state of the cycle.

        Raises:
            InvalidInput: there is no such cycle.
        """
        ...

    def request_cancel(self, cycle_id: str) -> None:
        """Mark a cycle as to be cancelled.

        Raises:
            InvalidInput: there is no such cycle, or it has ended.
        """
        ...

    def cycles(self, *, open_only: bool = False, limit: int = 100) -> Sequence[Cycle]:
        """Return cycles, newest first."""
        ...

    def found(self, wanted: Wanted, *, before: str = "", limit: int = 100) -> Sequence[Cycle]:
        """Return the cycles that are wanted, newest first; behind the cycle `before`, where one is named.

        Raises:
            InvalidInput: `before` is not the identity of a cycle.
        """
        ...

    def ended(self, target: str, environment: str, *, limit: int = 10) -> Sequence[Cycle]:
        """Return the cycles of a target and environment that have ended, the last to end first."""
        ...

    def cycles_on(self, day: datetime) -> int:
        """Return how many cycles were opened on that UTC day."""
        ...

    def flags(self) -> Sequence[FlagRow]:
        """Return all flags."""
        ...

    def set_flag(
        self,
        flag: FlagRow,
        *,
        by: str,
        at: datetime,
        seen: Sequence[FlagRow] | None = None,
        first: Callable[[], object] | None = None,
    ) -> None:
        """Insert or replace a flag; the change goes to the history with it.

        Args:
            seen: the rows of that name, in any order, as they have to stand still, whichever process wrote last.
            first: called before it is written, where nobody else can set a flag until it is; what it raises keeps it
                from being written. It must not write to the store.

        Raises:
            ConflictError: the rows of that name are others than `seen`; `first` was not called.
        """
        ...

    def flag_history(self, name: str = "", *, limit: int = 100) -> Sequence[FlagChange]:
        """Return the changes of a flag, or of all, newest first."""
        ...

    def entomb(self, stone: Tombstone) -> None:
        """Add a tombstone; the same digest again changes nothing."""
        ...

    def tombstone(self, digest: str) -> Tombstone | None:
        """Return the tombstone of a digest, or None."""
        ...

    def record(self, recording: Recording) -> None:
        """Keep a recording; the same place again replaces it."""
        ...

    def claim(self, recording: Recording) -> bool:
        """Keep a recording unless its place is taken, and return whether it was kept: of many callers, exactly one is
        told yes, whichever thread, process or machine it is in.
        """
        ...

    def recordings(self, cycle_id: str, prefix: str = "") -> Sequence[Recording]:
        """Return the recordings of a cycle whose place starts so, in the order they were made."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
