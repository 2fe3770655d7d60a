"""Further targets of an application: each has systems of its own, opened when they are first needed.

One that cannot be opened keeps nobody else from working: whoever asks for it gets a `DependencyUnavailable`, so its
cycles are held and its pages say why, and it is tried again a little later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from domain.clock import Clock
from domain.errors import DependencyError, DependencyUnavailable, EvercrewError, InvalidInput

Opened = TypeVar("Opened")
AGAIN = timedelta(seconds=10)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Failure:
    problem: DependencyUnavailable
    at: float


class Further(Generic[Opened]):
    """What is open of the further targets. Safe for threads.

    Args:
        first: the target of the file itself, which is open as soon as `begin` was called.
        others: the further ones.
        make: opens a further one, registering with the stack what has to be closed.
        closing: what closes everything that was opened.
        again: how long one that could not be opened is not tried again.
    """

    def __init__(
        self,
        first: str,
        others: Sequence[str],
        make: Callable[[str, ExitStack], Opened],
        clock: Clock,
        closing: ExitStack,
        *,
        again: timedelta = AGAIN,
    ) -> None:
        self.first = first
        self.names = (first, *others)
        self._make = make
        self._clock = clock
        self._again = again.total_seconds()
        self._open: dict[str, Opened] = {}
        self._failed: dict[str, _Failure] = {}
        # One lock for each, so that one that is slow to open holds up its own cycles only.
        self._locks = {name: threading.Lock() for name in self.names}
        self._closing = closing

    def begin(self, opened: Opened) -> None:
        """Take what is open of the first target."""
        self._open[self.first] = opened

    def at(self, target: str) -> Opened:
        """Return what is open of a target, after having opened it where it is not.

        Raises:
            DependencyUnavailable: it cannot be opened, or it is no target of this configuration (any more).
        """
        lock = self._locks.get(target)
        if lock is None:
            remedy = f"Name it in section targets; there are: {', '.join(self.names)}"
            raise DependencyUnavailable(f"targets.{target}", "this configuration does not look after it", remedy)
        with lock:
            known = self._open.get(target)
            if known is None:
                known = self._open[target] = self._opened(target)
            return known

    def opened(self) -> Sequence[Opened]:
        """Return what is open at present, without opening any."""
        return list(self._open.values())

    def open_all(self) -> None:
        """Open those that can be, so that what they record of themselves begins now; others are told and left."""
        for name in self._locks:
            try:
                self.at(name)
            except DependencyUnavailable as problem:
                _LOG.warning("tried again when it is needed: %s", problem)

    def _opened(self, target: str) -> Opened:
        before = self._failed.get(target)
        if before is not None and self._clock.monotonic() - before.at < self._again:
            raise before.problem
        try:
            with ExitStack() as unless_opened:
                made = self._make(target, unless_opened)
                self._closing.push(unless_opened.pop_all())
        except EvercrewError as problem:
            failure = _unopened(target, problem)
            self._failed[target] = _Failure(failure, self._clock.monotonic())
            raise failure from problem
        self._failed.pop(target, None)
        return made


def _unopened(target: str, problem: EvercrewError) -> DependencyUnavailable:
    place = f"targets.{target}"
    if isinstance(problem, InvalidInput):
        return DependencyUnavailable(f"{place}.{problem.field}", problem.problem, problem.remedy)
    if isinstance(problem, DependencyError):
        return DependencyUnavailable(f"{place}.{problem.dependency}", problem.problem, problem.remedy)
    return DependencyUnavailable(place, str(problem))
