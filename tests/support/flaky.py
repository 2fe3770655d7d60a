"""Ports that fail when they are told to, and otherwise are what they stand in front of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Plan = Callable[[int], Exception | None]
"""(number of the call, from 1) -> what it raises, or None."""


def first(count: int, error: Exception) -> Plan:
    """Fail so often, then work."""
    return lambda number: error if number <= count else None


def always(error: Exception) -> Plan:
    """Never work."""
    return lambda number: error


def every_second(error: Exception) -> Plan:
    """Fail, work, fail, work."""
    return lambda number: error if number % 2 else None


class Flaky:
    """A port whose named methods follow a plan; `calls` counts them."""

    def __init__(self, port: object, plans: Mapping[str, Plan]) -> None:
        self._port = port
        self._plans = plans
        self.calls: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        plan = self._plans.get(name)
        if plan is None:
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            problem = plan(self.calls[name])
            if problem is not None:
                raise problem
            return found(*args, **kwargs)

        return called
