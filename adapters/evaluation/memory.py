"""Evaluation in this process, for tests and embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from adapters.evaluation.base import EFFECT_EVALUATE, EvaluationResult
from adapters.evaluation.measure import Prices, Ranked, measure
from adapters.evaluation.sealed import SealedRow, draw, normalised
from domain.canonical import json_ready
from domain.clock import Clock
from domain.errors import DependencyLied, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

Rank = Callable[[Path, str], Ranked]


class MemoryEvaluation:
    """`EvaluationPort` over a list of sealed rows; `rank` answers a query with a bundle."""

    def __init__(
        self,
        *,
        rows: Sequence[SealedRow],
        rank: Rank,
        permits: PermitVerifier,
        clock: Clock,
        digest_of: Callable[[Path], str],
        prices: Prices,
        max_queries: int = 1500,
        drop_unseen: bool = False,
    ) -> None:
        self._rows = rows
        self._rank = rank
        self._permits = permits
        self._clock = clock
        self._digest_of = digest_of
        self._prices = prices
        self._max_queries = max_queries
        self._drop_unseen = drop_unseen
        self._results: dict[str, EvaluationResult] = {}

    def evaluate(self, bundles: Mapping[str, Path], *, key: str, permit: Permit | None) -> EvaluationResult:
        """See `EvaluationPort.evaluate`."""
        self._permits.spend(permit, effect=EFFECT_EVALUATE, key=key)
        if key in self._results:
            return self._results[key]
        if not bundles:
            raise InvalidInput("bundles", "none is given", "Name at least one bundle")
        held_out = draw(self._rows, self._max_queries, drop_unseen=self._drop_unseen)
        at = self._clock.now()
        digests = {name: self._digest(name, folder) for name, folder in sorted(bundles.items())}
        scores = {}
        for name, digest in digests.items():
            run = [self._rank(bundles[name], query.query) for query in held_out.queries]
            scores[name] = measure(digest, held_out.queries, run, self._prices, at)
        result = EvaluationResult(
            queries=len(held_out.queries), looks=len(self._results) + 1, set_hash=held_out.identity, bundles=scores
        )
        self._results[key] = result
        return result

    def held_out(self, queries: Sequence[str]) -> frozenset[int]:
        """See `EvaluationPort.held_out`."""
        sealed = {normalised(row.query) for row in self._rows}
        return frozenset(place for place, query in enumerate(queries) if normalised(query) in sealed)

    def observe(self, key: str) -> Observation:
        """See `EvaluationPort.observe`."""
        result = self._results.get(key)
        if result is None:
            return Observation.absent("no result is kept under the key")
        return Observation.done(json_ready(result.model_dump(mode="json")))

    def check(self) -> str:
        """See `EvaluationPort.check`."""
        return f"memory: {len(self._rows)} held-out sessions"

    def _digest(self, name: str, folder: Path) -> str:
        try:
            return self._digest_of(folder)
        except (ValueError, OSError) as error:
            raise DependencyLied("memory", f"{name} is not a bundle: {error}") from error
