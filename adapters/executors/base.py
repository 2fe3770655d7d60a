"""The executors port: which processes run cycles, who of them is alive, and the fence around those who are not.

Contract: an executor joins under a name and is given a lease: the name and a generation, which grows with every join.
It beats to keep the lease; who has not beaten for its `ttl` may be fenced by anybody. Fencing is atomic and final: once
`fence` said yes, the lease is worth nothing, whatever its holder still believes; a holder that beats again is told no.
So whoever fenced first may take over the holder's work. The database's clock counts, for machines disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

SEPARATOR = "#"


class Fenced(BaseException):
    """This process is not the one it was: its lease was taken, so nothing more may come of what it runs.

    No `Exception`, so that nothing records it as a failure: it ends a body as the death of the process would have.
    """


class Lease(BaseModel):
    """Leave to run cycles under a name, until it is fenced."""

    model_config = ConfigDict(frozen=True)

    executor: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+$")
    generation: int = Field(ge=1)

    @property
    def owner(self) -> str:
        """The name that workflows are owned under: no later generation shares it."""
        return f"{self.executor}{SEPARATOR}{self.generation}"


class Member(BaseModel):
    """An executor as others see it; `silent` is the time since its last beat."""

    model_config = ConfigDict(frozen=True)

    lease: Lease
    alive: bool
    silent: timedelta


class ExecutorsPort(Protocol):
    """Who runs cycles. Every method raises a DependencyError when the database cannot be used."""

    def join(self, executor: str, ttl: timedelta) -> Lease:
        """Return a lease of a new generation.

        Raises:
            ConflictError: another process holds the name and was heard of within its ttl.
            InvalidInput: the name is none.
        """
        ...

    def beat(self, lease: Lease) -> bool:
        """Say that the holder is alive, and return whether the lease is still worth anything."""
        ...

    def holds(self, lease: Lease) -> bool:
        """Return whether nobody fenced the lease, without beating."""
        ...

    def fence(self, owner: str) -> bool:
        """Return whether nothing more can come from this owner: fenced now, before, left, or never heard of.

        False while it was heard of within its ttl.
        """
        ...

    def leave(self, lease: Lease) -> None:
        """Give the lease up; others may take over at once. A lease that was fenced changes nothing."""
        ...

    def members(self) -> Sequence[Member]:
        """Return everybody with a lease that nobody fenced, by name."""
        ...
