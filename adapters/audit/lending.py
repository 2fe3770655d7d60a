"""Connections lent to readers: one that failed is not lent again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """A connection, as far as lending goes."""

    def close(self) -> object:
        """Close it."""


C = TypeVar("C", bound=Closable)


class Lending(Generic[C]):
    """Idle connections of one kind. Safe for threads; it never holds more than were lent at one time.

    `connect` opens one more. `alive` says whether an idle one still is one; it closes those that are not.
    """

    def __init__(self, connect: Callable[[], C], alive: Callable[[C], bool] = lambda _: True) -> None:
        self._connect = connect
        self._alive = alive
        self._idle: list[C] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def lent(self) -> Iterator[C]:
        """Lend a connection, a new one where no idle one lives.

        Raises:
            what `connect` raises.
        """
        with self._lock:
            idle = self._idle.pop() if self._idle else None
        connection = idle if idle is not None and self._alive(idle) else self._connect()
        sound = False
        try:
            yield connection
            sound = True
        finally:
            if not (sound and self._kept(connection)):
                connection.close()

    def _kept(self, connection: C) -> bool:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
            return not self._closed

    def spare(self) -> bool:
        """Whether an idle connection would be lent next."""
        return bool(self._idle)

    def forget(self) -> None:
        """Close the idle ones, so that the next one is new."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def close(self) -> None:
        """Close the idle ones now, and those that are lent when they come back."""
        with self._lock:
            self._closed = True
        self.forget()
