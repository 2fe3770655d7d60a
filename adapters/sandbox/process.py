"""The sandbox on this machine: a worker process whose output folder is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.sandbox.base import SandboxResult
from adapters.sandbox.checks import examine, summary
from adapters.worker import REMEDY, Worker
from domain.errors import DependencyLied, DependencyUnavailable

NAME = "sandbox"


class ProcessSandbox:
    """`SandboxPort` on a `Worker`; memory in MiB."""

    def __init__(self, *, worker: Worker, memory_mib: int) -> None:
        self._worker = worker
        self._memory = memory_mib

    def run(self, entry: str, spec: Mapping[str, Any], *, timeout: timedelta) -> SandboxResult:
        """See `SandboxPort.run`."""
        with tempfile.TemporaryDirectory(prefix="evercrew-sandbox-") as scratch:
            done = self._worker.run(entry, spec, Path(scratch), timeout=timeout, memory_mib=self._memory)
        if not isinstance(done.output, dict):
            raise DependencyLied(NAME, f"the job returned {type(done.output).__name__}, not an object")
        return SandboxResult(output=done.output, seconds=done.seconds, isolation=done.isolation)

    def check(self) -> str:
        """See `SandboxPort.check`."""
        found = examine(self._worker)
        said = f"{self._worker.isolation}; {summary(found)}"
        if self._worker.required and not all(held.ok for held in found):
            raise DependencyUnavailable(NAME, said, REMEDY)
        return f"{NAME}: {said}"
