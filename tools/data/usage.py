"""What a model used that writes for a dataset: counted where the dataset is built, whichever adapter asks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Usage:
    """Tokens and US dollars."""

    tokens: int = 0
    cost_usd: float = 0.0


_current: ContextVar[Usage | None] = ContextVar("usage", default=None)


@contextmanager
def counted() -> Iterator[Usage]:
    """Count what is used in this context meanwhile."""
    usage = Usage()
    token = _current.set(usage)
    try:
        yield usage
    finally:
        _current.reset(token)


def note_usage(tokens: int, cost_usd: float) -> None:
    """Tell whoever counts in this context what a model used; outside of one nobody is told."""
    usage = _current.get()
    if usage is not None:
        usage.tokens += max(tokens, 0)
        usage.cost_usd += max(cost_usd, 0.0)
