"""The sandbox port: computation that changes nothing, in a process of its own.

Contract: no network, no view of the sealed data, limits on time and memory; what it wrote is thrown away; only its JSON
result comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict


class SandboxResult(BaseModel):
    """`output` is what the entry point returned; `isolation` names how it was confined; seconds of wall time."""

    model_config = ConfigDict(frozen=True)

    output: Mapping[str, Any]
    seconds: float
    isolation: str


class SandboxPort(Protocol):
    """Runs a read-only entry point."""

    def run(self, entry: str, spec: Mapping[str, Any], *, timeout: timedelta) -> SandboxResult:
        """Call ``module:function`` as function(spec, out_dir) and return its JSON-able dict.

        Raises:
            DependencyTimeout, DependencyUnavailable, DependencyLied: it took too long, died, or returned no JSON.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
