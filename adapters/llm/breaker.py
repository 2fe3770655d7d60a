"""A circuit breaker, and the chat that uses it to fall back.

Closed lets calls through and counts failures in a row; open refuses them for a while; half-open lets one probe through,
whose outcome closes or opens the circuit again (M. Nygard, Release It!, "Circuit Breaker").
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from adapters.llm.base import ChatMessage, ChatPort, ChatReply
from domain.clock import Clock
from domain.errors import DependencyError, DependencyUnavailable

T = TypeVar("T")


class Circuit(StrEnum):
    """How the breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Counts `DependencyError` only: anything else is a bug of ours and says nothing about the dependency.

    Args:
        name: the dependency, for the error of a refused call.
        failures: so many in a row open the circuit.
        open_for: how long it stays open before one probe is let through.
    """

    def __init__(
        self, name: str, clock: Clock, *, failures: int = 5, open_for: timedelta = timedelta(seconds=30)
    ) -> None:
        self._name = name
        self._clock = clock
        self._limit = failures
        self._open_for = open_for
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> Circuit:
        """How it stands now."""
        with self._lock:
            return self._state()

    def call(self, work: Callable[[], T]) -> T:
        """Return what `work` returns.

        Raises:
            DependencyUnavailable: the circuit is open; `work` was not called.
            DependencyError: `work` failed.
        """
        probe = self._admit()
        try:
            result = work()
        except DependencyError:
            self._failed()
            raise
        else:
            self._succeeded()
            return result
        finally:
            if probe:
                with self._lock:
                    self._probing = False

    def _state(self) -> Circuit:
        if self._opened_at is None:
            return Circuit.CLOSED
        if self._clock.monotonic() - self._opened_at < self._open_for.total_seconds():
            return Circuit.OPEN
        return Circuit.HALF_OPEN

    def _admit(self) -> bool:
        """Return whether the caller is the probe."""
        with self._lock:
            state = self._state()
            if state is Circuit.CLOSED:
                return False
            if state is Circuit.OPEN or self._probing:
                raise DependencyUnavailable(
                    self._name, f"it failed {self._failures} times in a row and is left alone for a while"
                )
            self._probing = True
            return True

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= self._limit:
                self._opened_at = self._clock.monotonic()

    def _succeeded(self) -> None:
        with self._lock:
            self._failures = 0
            self._opened_at = None


class GuardedChat:
    """A `ChatPort` that asks `primary` while it works and `fallback` when it does not, and says so.

    The messages carry the whole conversation, so the fallback may go on with what the primary began. A reply's `model`
    names who gave it. Every reply of the fallback is announced to `on_fallback` with the reason.
    """

    def __init__(
        self, primary: ChatPort, fallback: ChatPort, breaker: CircuitBreaker, on_fallback: Callable[[str], None]
    ) -> None:
        self._primary = primary
        self._fallback = fallback
        self._breaker = breaker
        self._on_fallback = on_fallback
        self.name = primary.name

    @property
    def state(self) -> Circuit:
        """How the breaker stands."""
        return self._breaker.state

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """See `ChatPort.complete`; raises only what the fallback raises."""
        try:
            return self._breaker.call(
                lambda: self._primary.complete(messages, tools, task=task, answer_schema=answer_schema)
            )
        except DependencyError as error:
            self._on_fallback(f"{self._primary.name} -> {self._fallback.name}: {error}")
        return self._fallback.complete(messages, tools, task=task, answer_schema=answer_schema)

    def check(self) -> str:
        """See `ChatPort.check`; asks the primary."""
        return self._primary.check()
