"""The delivery port: what is live, by the platform's own word, and waiting until it is what git says.

Contract: "synced" is not "live": only the digest and revision the platform itself reports count. Desired state changes
by git; a delivery that does not apply it by itself can be told to (`SyncPort`), and never to apply anything else.

Superseded         somebody else's commit took the place of the one waited for
DeliveryFailed     it was tried and did not work
├── Degraded           applied, and not healthy
├── OperationFailed    the sync, or a hook of it, failed
└── ComparisonFailed   the desired state cannot be read or compared
StillProgressing   it did not end in time
NotSynced          nobody applied it
NotLive            it is said to be applied, and the platform serves something else
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from domain.candidate import LiveState
from domain.errors import ConflictError, DependencyError, DependencyTimeout
from domain.observation import Observation
from domain.permit import Permit
from domain.verdict import Judgement, Verdict

EFFECT_SYNC = "delivery.sync"

Tell = Callable[[str], None]
"""Told why it is still waited, once for each new reason."""


def silent(reason: str) -> None:
    """Tell nobody."""


class Superseded(ConflictError):
    """Somebody else's commit took the place of the one that was waited for."""


class DeliveryFailed(DependencyError):
    """The revision was tried and did not work."""


class Degraded(DeliveryFailed):
    """The revision was applied and is not healthy."""


class OperationFailed(DeliveryFailed):
    """The sync of the revision, or a hook of it, failed."""


class ComparisonFailed(DeliveryFailed):
    """The desired state cannot be read, or not compared with what there is."""


class StillProgressing(DependencyTimeout):
    """The revision was applied and did not get ready in time."""


class NotSynced(DependencyTimeout):
    """Nobody applied the revision in time."""


class NotLive(DependencyTimeout):
    """The revision is said to be applied, and the platform serves something else."""


class DeliveryPort(Protocol):
    """Looks at what is live."""

    def live(self) -> LiveState:
        """Return what the platform serves now.

        Raises:
            DependencyUnavailable, DependencyTimeout, DependencyLied.
        """
        ...

    def wait_until(
        self, revision: str, *, digest: str | None, timeout: timedelta, poll: timedelta, tell: Tell = silent
    ) -> LiveState:
        """Return the live state once it reports `revision` (and `digest`, where one is given).

        Raises:
            DependencyTimeout: it did not come; the message says what is live instead, and why as far as is known.
            Superseded: another commit took its place. DeliveryFailed: it cannot come any more.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...


@runtime_checkable
class SyncPort(Protocol):
    """A delivery that may have to be told to apply what git says; whoever has these methods is one."""

    def sync(self, revision: str, *, key: str, permit: Permit | None) -> bool:
        """Have exactly `revision`, the newest, applied; return whether that had to be asked for.

        Where the delivery applies commits by itself, or has applied this one, nothing is asked. The same key asks once.

        Raises:
            Superseded: `revision` is not the newest commit any more.
            ConflictError: something else is being applied, or the commit is not seen yet; try again.
            OperationFailed: it was refused.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return what became of the sync with this key; outcome has ``revision``."""
        ...


class RolloutStatus(BaseModel):
    """How far a new version is, by what shifts the traffic to it.

    `phase` is Healthy, Progressing, Paused or Degraded; empty while the present specification was not looked at yet.
    `weight` is the new version's share of the traffic in percent, None when unknown; `step` the index of the present
    one of `steps`; `pauses` says why it waits; `analyses` what was found of the new version so far.
    """

    model_config = ConfigDict(frozen=True)

    phase: str
    message: str = ""
    updating: bool = False
    weight: int | None = None
    step: int | None = None
    steps: int = 0
    pauses: tuple[str, ...] = ()
    aborted: bool = False
    analyses: tuple[Judgement, ...] = ()

    @property
    def failure(self) -> str:
        """Why the new version will not come, empty while it may; an old status says nothing about it."""
        if not self.phase:
            return ""
        judged = self.analyses if self.pending else ()  # of what is everywhere already, they are past
        failed = [f"{a.name} {a.verdict.value}: {a.reason}" for a in judged if a.verdict in _BAD]
        if not (self.aborted or self.phase == "Degraded" or failed):
            return ""
        said = [("aborted" if self.aborted else self.phase) + (f": {self.message}" if self.message else ""), *failed]
        return "; ".join(said)

    @property
    def pending(self) -> str:
        """Why the new version is not there yet, empty when it is."""
        if self.phase == "Healthy" and not self.updating:
            return ""
        weight = "" if self.weight is None else f" at {self.weight} %"
        why = f" ({', '.join(self.pauses)})" if self.pauses else ""
        return f"{self.phase or 'not looked at yet'}{weight}{why}"


_BAD = (Verdict.FAIL, Verdict.ERROR)


class RolloutPort(Protocol):
    """What shifts the traffic to a new version, step by step."""

    def status(self) -> RolloutStatus:
        """Return how far the new version is, and what its analyses found.

        Raises:
            ConfigurationError: there is none. DependencyError: it cannot be asked.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError or ConfigurationError."""
        ...
