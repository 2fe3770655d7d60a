"""Small parts of the Qdrant adapter: conditions, versions, and what probe searches found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.vectors.base import Value

if TYPE_CHECKING:
    from qdrant_client import models

_SAME_SCORE = 1e-6


@dataclass(frozen=True)
class Probe:
    """What probe searches gave: milliseconds of each, and how many of the exact neighbours were found."""

    latencies: Sequence[float]
    found: int
    wanted: int
    errors: int


def recalled(near: Sequence[models.ScoredPoint], truth: Sequence[models.ScoredPoint]) -> int:
    """Return how many of the true neighbours were found; those as near as the last one count alike."""
    if not truth:
        return 0
    names, edge = {point.id for point in truth}, truth[-1].score
    return min(sum(p.id in names or abs(p.score - edge) < _SAME_SCORE for p in near), len(truth))


def own(info: models.CollectionInfo) -> dict[str, int]:
    """Return the build parameter of vectors that have one of their own: the collection's does not reach them."""
    vectors = info.config.params.vectors or {}
    named = vectors if isinstance(vectors, dict) else {"": vectors}
    own = {name: params.hnsw_config.ef_construct for name, params in named.items() if params.hnsw_config}
    return {name: ef for name, ef in own.items() if ef}


def match(name: str, value: Value) -> models.FieldCondition:
    """Return the condition that a payload field has this value."""
    from qdrant_client import models

    return models.FieldCondition(key=name, match=models.MatchValue(value=value))


def older(version: str, least: tuple[int, int]) -> bool:
    """Return whether a release is before `least`; a build between releases is not."""
    parts = version.split(".")
    try:
        return (int(parts[0]), int(parts[1])) < least
    except (ValueError, IndexError):
        return False
