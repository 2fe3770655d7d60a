"""What the stand-in remembers of an application."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from testbed.argocd.health import Health

RUNNING, SUCCEEDED, FAILED = "Running", "Succeeded", "Failed"
HOOK = "warm-up"


@dataclass
class Operation:
    """A sync, running or over. `infos` came with the request that asked for it."""

    revision: str
    by: str
    started: datetime
    infos: tuple[tuple[str, str], ...] = ()
    phase: str = RUNNING
    message: str = ""
    hook: str = ""
    """Phase of its PreSync hook, empty when there was none."""
    finished: datetime | None = None

    @property
    def automated(self) -> bool:
        """Whether nobody asked for it."""
        return not self.by


@dataclass(frozen=True)
class Deployed:
    """An entry of the history."""

    id: int
    revision: str
    started: datetime
    at: datetime
    by: str


@dataclass
class Memory:
    """All of it; `claimed` is the revision said to be applied while the fault `lie` is on."""

    created: datetime
    head: str = ""
    claimed: str = ""
    problem: str = ""
    problem_since: datetime | None = None
    reconciled: datetime | None = None
    operation: Operation | None = None
    history: list[Deployed] = field(default_factory=list)
    version: int = 1


@dataclass(frozen=True)
class View:
    """One look: what is desired, what is applied, and how it does."""

    memory: Memory
    applied: str
    health: Health

    @property
    def synced(self) -> str:
        """Argo CD's word for desired against applied."""
        if self.memory.problem:
            return "Unknown"
        return "Synced" if self.memory.head == self.applied else "OutOfSync"
