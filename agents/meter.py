"""What a crew used: tokens, money, the models that really answered, and why another one stepped in.

A call counts from the moment it is made: as an estimate while it is under way, as what it told once it has answered,
and as the estimate for good when it fails in a way that a hosted model is paid for all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from adapters.llm.base import ChatReply
from domain.budget import MICROS, Amounts
from domain.errors import BudgetExhausted, DependencyLied, DependencyTimeout, EvercrewError

_current: ContextVar[Meter | None] = ContextVar("meter", default=None)

# What an answer may have had, in tokens, where it never came.
ANSWER = 1024


class Meter:
    """Counts for one question, from several threads; `stop` ends its use of models.

    Args:
        tokens: how many may be used; None for no limit.
        usd: how much money; None for no limit.
        usd_per_token: what a token costs where the model does not tell.
        calls: how often models may be asked; None for no limit.
    """

    def __init__(
        self,
        tokens: int | None = None,
        usd: float | None = None,
        usd_per_token: float = 0.0,
        calls: int | None = None,
    ) -> None:
        self._limit = tokens
        self._most = calls
        self._usd = usd
        self._price = usd_per_token
        self._lock = threading.Lock()
        self._models: dict[str, None] = {}
        self._fallbacks: list[str] = []
        self._stopped: EvercrewError | None = None
        self._open: dict[int, int] = {}
        self._asked = 0
        self._lost = 0
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

    @property
    def used(self) -> Amounts:
        """Return what was used so far, calls that are still under way by their estimates."""
        with self._lock:
            under_way = sum(estimate + ANSWER for estimate in self._open.values())
            dollars = self.cost_usd + under_way * self._price
            return Amounts(tokens=self.tokens + under_way, usd_micros=max(-int(-dollars * MICROS // 1), 0))

    def stop(self, reason: EvercrewError) -> None:
        """Let no further model call begin; the first reason is kept."""
        with self._lock:
            self._stopped = self._stopped or reason

    def begin(self, estimate: int) -> int | EvercrewError:
        """Note that a call of about so many tokens is made, and return its number; an error when it may not be."""
        with self._lock:
            if self._stopped is None and self._most is not None and self._asked >= self._most:
                self._stopped = BudgetExhausted(f"models were asked {self._asked} times, {self._most} are allowed")
            if self._stopped is None and self._limit is not None and self.tokens + estimate > self._limit:
                self._stopped = BudgetExhausted(
                    f"{self.tokens} tokens were used and about {estimate} more would be, "
                    f"{self._limit} are allowed for one question"
                )
            if self._stopped is not None:
                return self._stopped
            self._asked += 1
            self._open[self._asked] = estimate
            self._lost = 0
            return self._asked

    def count(self, reply: ChatReply, estimate: int, number: int = 0) -> EvercrewError | None:
        """Add a reply and return what has stopped the crew, if something has; `estimate` counts where tokens are not
        told.
        """
        with self._lock:
            self._open.pop(number, None)
            self._models[reply.model] = None
            untold = reply.tokens is None
            self._add(
                estimate if reply.tokens is None else reply.tokens, reply.cost_usd + untold * estimate * self._price
            )
            return self._stopped

    def failed(self, number: int, problem: EvercrewError) -> None:
        """Add a call that failed: a model that was too late, or answered in a wrong way, has worked all the same.

        An adapter that knows better says so with `note_lost`, and is believed.
        """
        with self._lock:
            estimate = self._open.pop(number, 0)
            if isinstance(problem, DependencyTimeout | DependencyLied) and not self._lost:
                self._add(estimate + ANSWER, (estimate + ANSWER) * self._price)

    def lose(self, tokens: int, cost_usd: float) -> None:
        """Add what an attempt cost that gave no answer."""
        with self._lock:
            self._lost += 1
            self._add(tokens, cost_usd)

    def fell_back(self, reason: str) -> None:
        """Note that another model stepped in."""
        with self._lock:
            self._fallbacks.append(reason)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this the meter that `note_fallback` and `note_lost` write to, in this thread of work."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def _add(self, tokens: int, dollars: float) -> None:
        self.tokens += max(tokens, 0)
        self.cost_usd += max(dollars, 0.0)
        problem = ""
        if self._limit is not None and self.tokens > self._limit:
            problem = f"{self.tokens} tokens were used, {self._limit} are allowed for one question"
        elif self._usd is not None and self.cost_usd > self._usd:
            problem = f"{self.cost_usd:.4f} USD were used, {self._usd:.4f} are allowed for one question"
        if problem:
            self._stopped = self._stopped or BudgetExhausted(problem)


def note_fallback(reason: str) -> None:
    """Tell the crew whose model call is under way that another model stepped in. Outside of a call there is nobody to
    tell.
    """
    meter = _current.get()
    if meter is not None:
        meter.fell_back(reason)


def note_lost(tokens: int, cost_usd: float) -> None:
    """Tell the crew whose model call is under way what an attempt cost that gave no answer."""
    meter = _current.get()
    if meter is not None:
        meter.lose(tokens, cost_usd)
