"""Files that may change while what they say is asked for: looked at now and then, and judged once they hold still.

What is good is put in force; anything else leaves what is in force as it is and is told, until that is on record.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from domain.errors import EvercrewError

EVERY = timedelta(seconds=1)


@dataclass(frozen=True)
class Stamp:
    """What a look at the files costs little to find out: `mark` differs when one of them may have changed.

    `age` is how long ago the last of them did, None where that cannot be told.
    """

    mark: Hashable
    age: timedelta | None


class PolicySource(Protocol):
    """Where the files of a set are read."""

    def stamp(self) -> Stamp:
        """Look, cheaply.

        Raises:
            EvercrewError: they cannot be looked at; a `PolicySetBroken` where they are those of a policy set.
        """
        ...

    def read(self) -> Mapping[str, bytes]:
        """Return name -> content.

        Raises:
            EvercrewError: they cannot be read; a `PolicySetBroken` where they are those of a policy set.
        """
        ...


class Change(Protocol):
    """A change of the files: taken into force, or kept out of it because of `problem`."""

    @property
    def problem(self) -> str: ...

    def good(self) -> str:
        """Return that what is taken is good, in a few words."""
        ...


C = TypeVar("C", bound=Change)


class Watched(ABC, Generic[C]):
    """Watches the files of a source; threads share it.

    Args:
        monotonic: seconds of a clock that never goes back.
        told: told of every change; what cannot be told of is not put in force.
        every: how often the files are looked at, at most, and how long they must have been left alone.
        bad: what looking at the files and judging them may raise.
    """

    def __init__(
        self,
        source: PolicySource,
        *,
        monotonic: Callable[[], float],
        told: Callable[[C], None],
        every: timedelta,
        bad: tuple[type[Exception], ...],
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._told = told
        self._every = every
        self._bad = bad
        self._lock = threading.Lock()
        self._judged: Hashable = None
        self._seen: Hashable = None
        self._problem = ""
        self._next = monotonic() + every.total_seconds()

    @property
    def problem(self) -> str:
        """Why what is on disk is not what is in force; empty when it is."""
        return self._problem

    def look(self) -> None:
        """Look at the files now; of several threads one does, the others go on with what is in force."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._look()
        finally:
            self._next = self._monotonic() + self._every.total_seconds()
            self._lock.release()

    def _look_when_due(self) -> None:
        if self._monotonic() >= self._next:
            self.look()

    def _look(self) -> None:
        try:
            stamp = self._source.stamp()
            if stamp.mark == self._judged:
                return
            settled = stamp.mark == self._seen or (stamp.age is not None and stamp.age >= self._every)
            self._seen = stamp.mark
            if settled:
                self._judge(stamp.mark)
        except self._bad as problem:
            self._judged = None
            self._kept_out(_why(problem))

    def _read_still(self, mark: Hashable) -> Mapping[str, bytes] | None:
        """Return the files, or None: that they did not change while they were read is looked at once more."""
        files = self._source.read()
        return files if self._source.stamp().mark == mark else None

    def _refused(self, mark: Hashable, problem: Exception | str) -> None:
        """Keep files out for good: they are judged, and not looked at again until they change."""
        self._judged = mark
        self._kept_out(problem if isinstance(problem, str) else _why(problem))

    def _kept_out(self, problem: str) -> None:
        """Keep what is in force, and tell why, once."""
        if problem == self._problem:
            return
        self._problem = problem
        if not self._heard(self._out(problem)):
            self._judged = None  # told again at the next look, until it is on record

    def _heard(self, change: C) -> bool:
        try:
            self._told(change)
        except EvercrewError as unheard:
            self._problem = f"{change.problem or change.good()}; it could not be put on record: {unheard}"
            return False
        return True

    @abstractmethod
    def _judge(self, mark: Hashable) -> None:
        """Put the files into force, or keep them out."""

    @abstractmethod
    def _out(self, problem: str) -> C:
        """Return the change that is kept out because of `problem`."""


def _why(problem: Exception) -> str:
    """Return what went wrong, which is never empty: an empty problem would read as none."""
    return str(problem) if isinstance(problem, EvercrewError) else f"{type(problem).__name__}: {problem}"
