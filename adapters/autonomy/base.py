"""The autonomy port: what was tried by class of action and environment, and what admins capped.

Contract: a trial is kept once a cycle and class, and never changed; caps are only ever added, the newest one holds. It
keeps what it is given: what counts is decided by who reads, against the audit chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from domain.autonomy import Cap, Trial


class AutonomyPort(Protocol):
    """Keeps the record. Every method raises a DependencyError when the place it is kept in cannot be used."""

    def add(self, trial: Trial) -> None:
        """Keep a trial; one of the same cycle and class is there already, nothing changes."""
        ...

    def trials(self, kind: str, environment: str, since: datetime) -> Sequence[Trial]:
        """Return the trials after a moment, oldest first."""
        ...

    def cap(self, kind: str, environment: str, made: Callable[[], Cap], *, seen: Sequence[Cap] | None = None) -> Cap:
        """Keep the cap of a class, or the lifting of one, that `made` returns, and return it.

        Args:
            made: called where nobody else can cap until it is kept; what it raises keeps it from being kept. It must
                not write to the same database.
            seen: the caps of the class there, as they have to stand still.

        Raises:
            ConflictError: there are others than `seen`; `made` was not called.
        """
        ...

    def caps(self, kind: str = "", environment: str = "") -> Sequence[Cap]:
        """Return caps and liftings, oldest first: all, or those of a class, or of an environment."""
        ...
