"""A sandbox that answers from a function, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from adapters.sandbox.base import SandboxResult


class MemorySandbox:
    """`SandboxPort` that calls `answer(entry, spec)`."""

    def __init__(self, answer: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._answer = answer

    def run(self, entry: str, spec: Mapping[str, Any], *, timeout: timedelta) -> SandboxResult:
        """See `SandboxPort.run`."""
        return SandboxResult(output=dict(self._answer(entry, spec)), seconds=0.0, isolation="none: in memory")

    def check(self) -> str:
        """See `SandboxPort.check`."""
        return "sandbox: in memory"
