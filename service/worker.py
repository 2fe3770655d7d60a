"""A worker: takes alerts from the inbox, runs their cycles, and goes on with what dead workers left.

Several run against one PostgreSQL. Orderly shutdown: cycles stop at their next step, the lease is given up, and whoever
is alive goes on with them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from adapters.inbox.base import InboxPort, Turn
from adapters.workflow.base import SharedWorkflow
from cycles.engine import Engine
from cycles.incidents import WINDOW
from cycles.intake import take_turn
from domain.clock import Clock
from domain.errors import DependencyError
from service.executor import Executor

SLOTS = 8
_SWEEPS = 15
# Letters in a turn: few enough that the lanes of others come round soon.
_MOST = 25
_LOG = logging.getLogger(__name__)


class Worker:
    """Runs until it is asked to stop, or was taken for dead.

    Args:
        executor: None where one process runs all cycles, as on SQLite.
        told: hears of every turn of the inbox that was taken.
        pause: how long an idle worker waits before it looks at the inbox again.
        every: how often it looks for the dead; fifteen times as rarely for cycles without a workflow.
        keep: how long settled letters of the inbox are kept.
    """

    def __init__(
        self,
        engine: Engine,
        inbox: InboxPort,
        workflow: SharedWorkflow,
        executor: Executor | None,
        clock: Clock,
        *,
        told: Callable[[Turn], None] = lambda _turn: None,
        pause: timedelta = timedelta(milliseconds=300),
        every: timedelta = timedelta(seconds=1),
        window: timedelta = WINDOW,
        keep: timedelta = timedelta(days=30),
    ) -> None:
        self._engine = engine
        self._inbox = inbox
        self._workflow = workflow
        self._executor = executor
        self._clock = clock
        self._told = told
        self._pause = pause
        self._every = every.total_seconds()
        self._window = window
        self._keep = keep
        self._next: dict[str, float] = {}

    @property
    def fenced(self) -> bool:
        """Whether others took this process for dead."""
        return self._executor is not None and self._executor.fenced.is_set()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set or the process is fenced; a dependency that fails is tried again."""
        while not stop.is_set() and not self.fenced:
            try:
                busy = self.once()
            except DependencyError as problem:
                _LOG.warning("tried again in a moment: %s", problem)
                busy = False
            if not busy:
                stop.wait(self._pause.total_seconds())

    def once(self) -> bool:
        """Take one turn of the inbox, after what is due beside it; whether there was one to take."""
        if self._executor is not None and self._due("dead", self._every):
            taken = self._executor.take_over(self._workflow)
            if taken:
                _LOG.warning("went on with %d cycles of executors that died", taken)
        if self._due("sweep", _SWEEPS * self._every):
            self._engine.sweep()
        if self._due("prune", 3600.0):
            self._inbox.prune(self._clock.now() - self._keep)
        turn = take_turn(self._inbox, self._clock, self._window, most=_MOST)
        if turn is None:
            return False
        for cycle_id in turn.opened:
            self._engine.start(cycle_id)
        self._told(turn)
        return True

    def _due(self, what: str, seconds: float) -> bool:
        now = self._clock.monotonic()
        if now < self._next.get(what, 0.0):
            return False
        self._next[what] = now + seconds
        return True
