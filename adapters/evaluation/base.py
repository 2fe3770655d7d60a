"""The evaluation port: bundles are scored on the sealed held-out set, in the only process that may read it.

Contract: callers get aggregates and per-query scores under opaque ids, never queries, documents or judgements of the
sealed set. Every evaluation is one look at the set; looks are counted and returned. The location of the set is known
to the adapter alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.measurement import Measurement
from domain.observation import Observation
from domain.permit import Permit

EFFECT_EVALUATE = "evaluation.look"


class BundleScores(BaseModel):
    """Metrics of one bundle.

    `metrics` by name (ndcg_at_10, recall_at_20, precision_at_10, latency_p95_ms, cost_per_1k_requests), `per_query`
    nDCG@10 in a fixed order, the same for all bundles of one evaluation, `per_slice` nDCG@10 by subject.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    metrics: Mapping[str, Measurement]
    per_query: Sequence[float] = ()
    per_slice: Mapping[str, Measurement] = Field(default_factory=dict)


class EvaluationResult(BaseModel):
    """All bundles over the same queries. `looks` counts the evaluations made on this set so far, this one included.

    `seconds` of wall time.
    """

    model_config = ConfigDict(frozen=True)

    queries: int
    looks: int
    set_hash: str
    bundles: Mapping[str, BundleScores]
    seconds: float = Field(default=0.0, ge=0)


class EvaluationPort(Protocol):
    """Scores bundles on data nobody else may see."""

    def evaluate(self, bundles: Mapping[str, Path], *, key: str, permit: Permit | None) -> EvaluationResult:
        """Score the named bundle folders and return their metrics.

        With no usable judgement, `queries` is 0 and every measurement missing.

        Raises:
            DependencyTimeout, DependencyUnavailable, DependencyLied.
        """
        ...

    def held_out(self, queries: Sequence[str]) -> frozenset[int]:
        """Return the places of the queries (normalised) that the sealed set holds: those must not be trained on.

        For code that builds training data; no tool hands it to an agent.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return the stored result of the evaluation with this key; outcome is the EvaluationResult's fields."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
