"""The threads beside the server: each works until it is asked to stop, and the process knows when one died."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from cycles.schedule import RunStatus, Scheduler
from domain.clock import Clock
from domain.errors import DependencyUnavailable, EvercrewError

if TYPE_CHECKING:
    from cycles.schedule import ScheduledRun

_LOG = logging.getLogger(__name__)
_LOOK = timedelta(seconds=5)
Work = Callable[[threading.Event], None]


class Task:
    """Work in a thread of its own.

    Args:
        fatal: whether the process must not go on without it.
    """

    def __init__(self, name: str, work: Work, stop: threading.Event, *, fatal: bool = True) -> None:
        self.name = name
        self.fatal = fatal
        self._work = work
        self._stop = stop
        self._thread = threading.Thread(target=self._run, name=f"evercrew-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def died(self) -> bool:
        """Whether it ended without having been asked to."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stop.is_set()

    def check(self) -> str:
        """Return one line while it works.

        Raises:
            DependencyUnavailable: it does not.
        """
        if not self._thread.is_alive():
            raise DependencyUnavailable(
                self.name, "its thread has ended", "Restart the process; the log has the reason"
            )
        return f"{self.name}: works"

    def join(self, seconds: float) -> bool:
        """Wait for its end for at most so long, and return whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(max(seconds, 0.0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        ended = False
        try:
            self._work(self._stop)
            ended = True
        finally:
            if not ended:
                _LOG.critical("%s ended by an error", self.name, exc_info=True)


def scheduled(scheduler: Scheduler, clock: Clock, *, look: timedelta = _LOOK) -> Work:
    """Return what runs schedules that are due; a part that does not answer is asked again."""

    def work(stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                for run in scheduler.run_due():
                    _told(run)
            except EvercrewError as problem:
                _LOG.warning("schedules are looked at again in a moment: %s", problem)
            stop.wait(look.total_seconds())

    return work


def _told(run: ScheduledRun) -> None:
    level = logging.INFO if run.status is RunStatus.DONE else logging.ERROR
    _LOG.log(level, "schedule %s %s: %s", run.name, run.status.value, run.detail)
