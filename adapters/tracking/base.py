"""The experiment tracker and model registry port.

Contract: the idempotency key is left as tag ``evercrew.key`` on the run or version, so that the same effect asked for
twice is one effect and `observe` finds it. A version is known by its content digest (tag ``digest``). Aliases are
`champion`, `candidate`, `gold`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from domain.candidate import ModelRef
from domain.observation import Observation
from domain.permit import Permit

EFFECT_LOG_RUN = "tracking.log_run"
EFFECT_REGISTER = "tracking.register"
EFFECT_ALIAS = "tracking.alias"


class TrackingPort(Protocol):
    """Runs, model versions and aliases."""

    def log_run(
        self,
        *,
        name: str,
        params: Mapping[str, str | int | float],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Sequence[Path],
        key: str,
        permit: Permit | None,
    ) -> str:
        """Record a finished run with its files (a folder keeps its name) and return its id."""
        ...

    def register(
        self,
        *,
        model: str,
        bundle: Path,
        digest: str,
        run_id: str,
        tags: Mapping[str, str],
        key: str,
        permit: Permit | None,
    ) -> ModelRef:
        """Register the bundle folder as a new version of `model`, with tag ``digest``."""
        ...

    def set_alias(self, *, model: str, alias: str, version: str, key: str, permit: Permit | None) -> None:
        """Point `alias` at `version`."""
        ...

    def by_alias(self, model: str, alias: str) -> ModelRef | None:
        """Return the version the alias points at, or None."""
        ...

    def by_digest(self, model: str, digest: str) -> ModelRef | None:
        """Return the newest version with that digest, or None."""
        ...

    def versions(self, model: str) -> Sequence[ModelRef]:
        """Return all versions, oldest first."""
        ...

    def run(self, run_id: str) -> Mapping[str, Mapping[str, str | float]] | None:
        """Return ``params``, ``metrics`` and ``tags`` of a run, or None."""
        ...

    def download(self, ref: ModelRef, into: Path) -> Path:
        """Copy the bundle of `ref` below `into` and return its folder.

        Raises:
            DependencyLied: what came is not there or not a bundle.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return what became of the effects with this key.

        The outcome has ``run_id``, ``version`` and ``digest``, ``alias`` and ``alias_version``: what was done under it.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
