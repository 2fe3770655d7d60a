"""The experiment tracker and model registry port.

Contract: the idempotency key is left as tag ``evercrew.key`` on the run or version, so that the same effect asked for
twice is one effect and `observe` finds it. A version is known by its content digest (tag ``digest``). Aliases are
`champion`, `candidate`, `gold`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.candidate import ModelRef
from domain.observation import Observation
from domain.permit import Permit
from domain.verdict import Verdict

EFFECT_LOG_RUN = "tracking.log_run"
EFFECT_REGISTER = "tracking.register"
EFFECT_ALIAS = "tracking.alias"
EFFECT_TAG = "tracking.tag"
EFFECT_DESCRIBE = "tracking.describe"
EFFECT_RETIRE = "tracking.retire"
GOLD = "gold"
"""What the tags of versions start with that are kept for ever."""


class CardMetric(BaseModel):
    """A figure of a model card with its doubt: the bounds of its interval, its sample size, what it is held against."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    baseline: float | None = None


class CardGate(BaseModel):
    """What a gate said of the model, and why."""

    model_config = ConfigDict(frozen=True)

    name: str
    verdict: Verdict
    reason: str


class ModelCard(BaseModel):
    """What is known of a version. `data` and `lineage` are facts by name; limits are sentences."""

    model_config = ConfigDict(frozen=True)

    title: str
    what: str
    data: Mapping[str, str] = Field(default_factory=dict)
    metrics: tuple[CardMetric, ...] = ()
    gates: tuple[CardGate, ...] = ()
    limits: tuple[str, ...] = ()
    lineage: Mapping[str, str] = Field(default_factory=dict)


class Retirable(BaseModel):
    """Versions and runs nothing needs any more, and how many versions are kept."""

    model_config = ConfigDict(frozen=True)

    versions: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    kept: int = 0


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
        """Record a finished run with its files (a folder keeps its name) and return its id.

        Tags ``dataset_path``, ``dataset_md5`` and ``dataset_rev``, all three, make the dataset an input of the run.
        """
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
        """Register the bundle folder as a new version of `model`, with tag ``digest`` and a first model card."""
        ...

    def set_alias(self, *, model: str, alias: str, version: str, key: str, permit: Permit | None) -> None:
        """Point `alias` at `version`."""
        ...

    def tag(self, *, model: str, version: str, tag: str, value: str, key: str, permit: Permit | None) -> None:
        """Put a tag on a version, for ever; the same value again changes nothing.

        Raises:
            ConflictError: the tag has another value.
            InvalidInput: there is no such version.
        """
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
        """Return ``params``, ``metrics``, ``tags`` and ``datasets`` (path -> hash) of a run, or None."""
        ...

    def describe(self, *, model: str, version: str, card: ModelCard, key: str, permit: Permit | None) -> None:
        """Put the card on the version, in place of the one before, as markdown.

        Raises:
            InvalidInput: there is no such version.
        """
        ...

    def card(self, model: str, version: str) -> str:
        """Return the markdown of a version's card; empty when it has none.

        Raises:
            InvalidInput: there is no such version.
        """
        ...

    def retirable(self, model: str, *, keep_last: int, before: datetime, keep: Collection[str]) -> Retirable:
        """Return what `retire` would delete: a dry run.

        Kept are versions made at `before` or later, the newest `keep_last`, those with an alias or a tag ``gold...``,
        and those whose digest or cycle (tag ``cycle_id``) is in `keep`; runs of what is kept, and runs that go on.
        """
        ...

    def retire(
        self,
        model: str,
        *,
        keep_last: int,
        before: datetime,
        keep: Collection[str],
        key: str,
        permit: Permit | None,
    ) -> Retirable:
        """Delete what is `retirable`, and return it."""
        ...

    def download(self, ref: ModelRef, into: Path) -> Path:
        """Copy the bundle of `ref` below `into` and return its folder.

        Raises:
            DependencyLied: what came is not there or not a bundle.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return what became of the effects with this key.

        The outcome has ``run_id``, ``version`` and ``digest``, ``alias`` and ``alias_version``, ``described`` (the
        version that has the card), ``retired`` (a `Retirable` as JSON, once all of it is gone): what was done under it.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
