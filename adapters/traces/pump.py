"""From the caller to a sink: a bounded queue, and one daemon thread that sends.

A slow or dead sink costs the caller nothing and does not hold up the end of the process. What does not fit the queue,
or was not taken after some attempts, is counted.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from domain.clock import Clock, SystemClock
from domain.errors import DependencyTimeout, DependencyUnavailable, EvercrewError

Job = TypeVar("Job")
WAITING, AT_ONCE, ATTEMPTS = 10_000, 100, 3
PAUSE_S = 0.5
# A sink that fails, or has not answered for so long, is not waited for when the process ends.
STUCK_S, PATIENCE_WITH_THE_DEAD_S = 1.0, 0.2
_LOOK_S = 0.05


class Pump(Generic[Job]):
    """Hands jobs to `send`, in order, a batch at a time.

    Args:
        send: takes a batch; DependencyUnavailable and DependencyTimeout are tried again, any other error is a loss.
        before: makes of a batch what is sent, once. after: is told of the batch when it was sent or given up.
        waiting: how many jobs may wait.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[Job]], None],
        *,
        before: Callable[[Sequence[Job]], Sequence[Job]] = lambda jobs: jobs,
        after: Callable[[Sequence[Job]], None] = lambda jobs: None,
        clock: Clock | None = None,
        waiting: int = WAITING,
        attempts: int = ATTEMPTS,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.lost = 0
        self.problem = ""
        self._name = name
        self._send = send
        self._before = before
        self._after = after
        self._clock = clock or SystemClock()
        self._attempts = attempts
        self._pause_s = pause_s
        self._jobs: queue.Queue[Job] = queue.Queue(maxsize=waiting)
        self._hurry = threading.Event()
        self._sending_since: float | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether nothing waits but what is being sent."""
        return self._jobs.empty()

    @property
    def left(self) -> int:
        """How many jobs were neither sent nor given up yet."""
        return self._jobs.unfinished_tasks

    def put(self, job: Job) -> None:
        """Take a job, or count it as lost; returns at once."""
        if self._thread is None or not self._thread.is_alive():
            self._start()
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.count(1)

    def flush(self, seconds: float) -> None:
        """Wait until everything was sent or given up, for at most so long."""
        until = self._clock.monotonic() + seconds
        self._hurry.set()
        with self._jobs.all_tasks_done:
            while self._jobs.unfinished_tasks:
                now = self._clock.monotonic()
                if self._dead(now):
                    until = min(until, now + PATIENCE_WITH_THE_DEAD_S)
                if now >= until:
                    break
                self._jobs.all_tasks_done.wait(min(_LOOK_S, until - now))
        self._hurry.clear()

    def _dead(self, now: float) -> bool:
        since = self._sending_since
        return bool(self.problem) or (since is not None and now - since > STUCK_S)

    def count(self, lost: int) -> None:
        """Count losses."""
        with self._starting:
            self.lost += lost

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._forever, name=f"evercrew-{self._name}", daemon=True)
                self._thread.start()

    def _forever(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            while len(jobs) < AT_ONCE and not self._jobs.empty():
                jobs.append(self._jobs.get())
            try:
                self._sent(self._before(jobs))
                self._after(jobs)
            finally:
                for _ in jobs:
                    self._jobs.task_done()

    def _sent(self, jobs: Sequence[Job]) -> None:
        failing = bool(self.problem)
        for attempt in range(1, self._attempts + 1):
            try:
                self._sending_since = self._clock.monotonic()
                self._send(jobs)
                self.problem = ""
                return
            except (DependencyUnavailable, DependencyTimeout) as problem:
                self.problem = str(problem)
                if failing and self._hurry.is_set():
                    break
                if attempt < self._attempts:
                    self._hurry.wait(self._pause_s * 2 ** (attempt - 1))
            except EvercrewError as problem:
                self.problem = str(problem)
                break
            finally:
                self._sending_since = None
        self.count(len(jobs))
