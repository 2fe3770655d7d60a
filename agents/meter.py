"""What a crew used: tokens, money, the models that really answered, and why another one stepped in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from adapters.llm.base import ChatReply
from domain.errors import BudgetExhausted, EvercrewError

_current: ContextVar[Meter | None] = ContextVar("meter", default=None)


class Meter:
    """Counts for one crew, from several threads; `stop` ends its use of models.

    Args:
        tokens: how many may be used; None for no limit.
    """

    def __init__(self, tokens: int | None = None) -> None:
        self._limit = tokens
        self._lock = threading.Lock()
        self._models: dict[str, None] = {}
        self._fallbacks: list[str] = []
        self._stopped: EvercrewError | None = None
        self.tokens = 0
        self.cost_usd = 0.0

    @property
    def models(self) -> tuple[str, ...]:
        """Return the models that answered, in the order of their first answer."""
        with self._lock:
            return tuple(self._models)

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Return why another model stepped in, once each."""
        with self._lock:
            return tuple(dict.fromkeys(self._fallbacks))

    @property
    def stopped(self) -> EvercrewError | None:
        """Return what ended the use of models, if something did."""
        with self._lock:
            return self._stopped

    def stop(self, reason: EvercrewError) -> None:
        """Let no further model call begin; the first reason is kept."""
        with self._lock:
            self._stopped = self._stopped or reason

    def count(self, reply: ChatReply, estimate: int) -> EvercrewError | None:
        """Add a reply and return what has stopped the crew, if something has; `estimate` counts where tokens are not
        told.
        """
        with self._lock:
            self._models[reply.model] = None
            self.tokens += estimate if reply.tokens is None else reply.tokens
            self.cost_usd += reply.cost_usd
            if self._limit is not None and self.tokens > self._limit:
                self._stopped = self._stopped or BudgetExhausted(
                    f"{self.tokens} tokens were used, {self._limit} are allowed for one question"
                )
            return self._stopped

    def fell_back(self, reason: str) -> None:
        """Note that another model stepped in."""
        with self._lock:
            self._fallbacks.append(reason)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this the meter that `note_fallback` writes to, in this thread of work."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


def note_fallback(reason: str) -> None:
    """Tell the crew whose model call is under way that another model stepped in. Outside of a call there is nobody to
    tell.
    """
    meter = _current.get()
    if meter is not None:
        meter.fell_back(reason)
