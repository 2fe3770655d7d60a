"""The rules port: overrides of gates and thresholds, kept for as long as anybody asks what was in force.

Contract: nothing is ever deleted or changed but the end of an override, which is set once. `see_expiry` tells exactly
one of its callers, in any process, that an override has expired. A store that cannot be reached raises
`DependencyUnavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from domain.override import Override


class RulesPort(Protocol):
    """Where overrides are kept."""

    def add(
        self,
        override: Override,
        *,
        seen: Sequence[Override] | None = None,
        first: Callable[[], object] | None = None,
    ) -> None:
        """Keep an override; the same again changes nothing.

        Args:
            seen: the overrides of its environment as they have to stand still, those that are over too.
            first: called before it is kept, where nobody else can add one until it is; what it raises keeps it from
                being kept. It must not write to the same database.

        Raises:
            InvalidInput: another one has its identity.
            ConflictError: there are others than `seen`; `first` was not called.
        """
        ...

    def end(
        self,
        override_id: str,
        *,
        by: str,
        at: datetime,
        seen: Override | None = None,
        first: Callable[[], object] | None = None,
    ) -> Override:
        """End an override before its time, and return it; ending it again changes nothing.

        Args:
            seen: it, as it has to stand still. first: as in `add`; not called where it changes nothing.

        Raises:
            InvalidInput: there is none of that identity, or it has expired by then.
            ConflictError: it is not as it was `seen`.
        """
        ...

    def overrides(self, *, environment: str = "", in_force_at: datetime | None = None) -> Sequence[Override]:
        """Return overrides, oldest first: of an environment, and in force at a moment, where they are given."""
        ...

    def unseen(self, now: datetime) -> Sequence[Override]:
        """Return the overrides that have expired, without having been ended, and that nobody has seen expired yet."""
        ...

    def see_expiry(self, override_id: str) -> bool:
        """Mark an override as seen to have expired; True for the one caller that marked it."""
        ...
