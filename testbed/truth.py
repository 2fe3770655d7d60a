"""The truth, apart from every pipeline: how good search is for intents that no log has ever seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from testbed.population import Population

__all__ = ["Search", "measure", "ndcg", "recall"]

Search = Callable[[str, str], list[str]]
"""(query, user_id) -> document ids, best first."""


def measure(
    search: Search, population: Population, n: int, seed: int, mix: Mapping[str, float], *, hard: bool = False
) -> dict[str, Any]:
    """{"ndcg_at_10", "recall_at_20", "n", "per_subject": {subject: {"ndcg_at_10", "n"}}, "stderr"} over n fresh
    intents.

    ``seed`` chooses the intents; the same seed asks the same questions, so two searches can be compared in pairs.
    ``search`` should return at least 20 documents.
    """
    if n < 2:
        raise ValueError(f"n={n}: at least 2 intents are needed for a standard error")
    gains: list[float] = []
    recalls: list[float] = []
    slices: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(n):
        intent = population.session(seed * 1_000_003 + number, mix, stream="truth", hard=hard)
        shown = search(intent.query, intent.user_id)
        gains.append(ndcg(shown, intent.relevant))
        recalls.append(recall(shown, intent.relevant))
        slices[intent.subject].append(gains[-1])
    per_subject = {
        name: {"ndcg_at_10": float(np.mean(slices[name])), "n": len(slices[name])} for name in sorted(slices)
    }
    return {
        "ndcg_at_10": float(np.mean(gains)),
        "recall_at_20": float(np.mean(recalls)),
        "n": n,
        "per_subject": per_subject,
        "stderr": float(np.std(gains, ddof=1) / np.sqrt(n)),
    }


def ndcg(ranking: Sequence[str], relevant: Mapping[str, float], depth: int = 10) -> float:
    """nDCG with linear gains (Jarvelin and Kekalainen 2002); for one relevant document 1 / log2(rank + 1)."""
    gained = sum(relevant.get(key, 0.0) / np.log2(place + 2) for place, key in enumerate(ranking[:depth]))
    ideal = sorted(relevant.values(), reverse=True)[:depth]
    best = sum(grade / np.log2(place + 2) for place, grade in enumerate(ideal))
    return float(gained / best) if best else 0.0


def recall(ranking: Sequence[str], relevant: Mapping[str, float], depth: int = 20) -> float:
    """The share of the relevant documents among the first ``depth``."""
    wanted = {key for key, grade in relevant.items() if grade > 0}
    return len(wanted.intersection(ranking[:depth])) / len(wanted) if wanted else 0.0
