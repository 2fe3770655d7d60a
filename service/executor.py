"""This process as one of several that run cycles: its lease, its beat, and what it takes over from the dead."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.audit.base import AuditPort
from adapters.executors.base import ExecutorsPort, Fenced, Lease
from adapters.workflow.base import SharedWorkflow
from domain.clock import Clock
from domain.errors import ConfigurationError, ConflictError, DependencyError
from domain.permit import PermitOffice

if TYPE_CHECKING:
    from adapters.database import Database

TTL = timedelta(seconds=10)
_BEATS = 5  # in a ttl
_LOG = logging.getLogger(__name__)


class Executor:
    """Holds a lease as long as it lives, and knows when it lost it.

    Args:
        ttl: who was silent for so long may be taken for dead; it is asked to stop, and the fence keeps it from writing.
    """

    def __init__(self, executors: ExecutorsPort, name: str, clock: Clock, *, ttl: timedelta = TTL) -> None:
        self._executors = executors
        self._clock = clock
        self._ttl = ttl
        self._stop = threading.Event()
        self.fenced = threading.Event()
        self.lease = self._join(name)
        self._beating = threading.Thread(target=self._beat, name="executor-beat", daemon=True)
        self._beating.start()

    def guard(self) -> None:
        """Return while nobody took the lease.

        Raises:
            Fenced: somebody did: nothing may be done any more.
            DependencyError: it cannot be found out, so nothing may be done now.
        """
        if self.fenced.is_set() or not self._executors.holds(self.lease):
            self.fenced.set()
            raise Fenced(f"{self.lease.owner} was taken for dead, and others go on with its cycles")

    def take_over(self, workflow: SharedWorkflow) -> int:
        """Go on with what dead executors ran, and return how many workflows that were; several may try at once."""
        dead = [owner for owner in workflow.owners() if owner != self.lease.owner and self._executors.fence(owner)]
        return workflow.adopt(dead)

    def close(self) -> None:
        """Stop beating and leave, so that others take over at once what is not finished."""
        self._stop.set()
        self._beating.join()
        try:
            self._executors.leave(self.lease)
        except DependencyError as problem:
            _LOG.warning("the lease runs out by itself: %s", problem)

    def _join(self, name: str) -> Lease:
        """Join, and wait for the lease of a process of this name that died just now to run out."""
        deadline = self._clock.monotonic() + self._ttl.total_seconds() + 1
        while True:
            try:
                return self._executors.join(name, self._ttl)
            except ConflictError:
                if self._clock.monotonic() >= deadline:
                    raise
                self._clock.sleep(self._ttl / 20)

    def _beat(self) -> None:
        while not self._stop.wait(self._ttl.total_seconds() / _BEATS):
            try:
                if not self._executors.beat(self.lease):
                    self.fenced.set()
                    return
            except DependencyError as problem:
                _LOG.warning("no beat: %s", problem)


def executor_of(
    workflow_url: str | None,
    database: Database,
    name: str,
    clock: Clock,
    closing: ExitStack,
    *,
    ttl: timedelta = TTL,
) -> Executor | None:
    """Return this process's membership among those that share a PostgreSQL; None where there is one process.

    Raises:
        ConfigurationError: the workflows are shared and the store is not: no fence could be kept.
        ConflictError: another process that is alive has the name.
    """
    if not (workflow_url or "").startswith("postgres"):
        return None
    if not database.is_postgresql:
        remedy = "Name the PostgreSQL of workflow_url in store_url too, or leave workflow_url out"
        raise ConfigurationError(
            "store_url", "cycles of several processes cannot keep their state in one's file", remedy
        )
    from adapters.database import Database
    from adapters.executors.sqlalchemy import SqlExecutors

    # A database of its own: the fence that writes run into must not keep the register from being read and written.
    own = Database(database.engine.url.render_as_string(hide_password=False))
    closing.callback(own.close)
    executor = Executor(SqlExecutors(own), name, clock, ttl=ttl)
    closing.callback(executor.close)
    return executor


def fence(executor: Executor, database: Database, permits: PermitOffice, audit: AuditPort) -> None:
    """Let nothing more come from this process once others took it for dead.

    No row of ours is written, no permit spent, no record appended. What an adapter is in the middle of when the process
    is paused cannot be called back: its idempotency key is what keeps that from happening twice.
    """
    from adapters.audit.chain import DatabaseChain
    from adapters.audit.signed import SignedAudit
    from adapters.executors.sqlalchemy import fence_of

    database.fence = fence_of(executor.lease)
    permits.guard = executor.guard
    chain = audit.chain if isinstance(audit, SignedAudit) else audit
    if isinstance(chain, DatabaseChain):
        chain.guard = executor.guard
