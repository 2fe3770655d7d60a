"""nDCG, recall and precision of rankings, in numpy, with the definitions and tie-breaking of trec_eval.

nDCG has linear gains (the grade) and the discount 1 / log2(rank + 1); Jarvelin and Kekalainen, "Cumulated gain-based
evaluation of IR techniques", 2002. A document counts as relevant from grade 1 on. A judged query without a ranking
scores 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from learning.series import Floats


@dataclass(frozen=True, slots=True)
class GradedRankings:
    """Rankings with the grade of every document in place of the document.

    `gains` has shape (queries, depth), in ranked order, 0 where unjudged or past the end; `ideals` has shape (queries,
    most relevant documents), grades in falling order, padded with 0; `relevant` counts relevant documents per query.
    """

    queries: tuple[str, ...]
    gains: Floats
    ideals: Floats
    relevant: Floats

    def ndcg(self, k: int) -> Floats:
        """Return nDCG@k per query."""
        return ndcg(self.gains, self.ideals, k)

    def recall(self, k: int) -> Floats:
        """Return recall@k per query; 0 where nothing is relevant."""
        hits = (self.gains[:, :k] >= 1).sum(axis=1)
        recalls: Floats = np.zeros(len(self.queries))
        np.divide(hits, self.relevant, out=recalls, where=self.relevant > 0)
        return recalls

    def precision(self, k: int) -> Floats:
        """Return precision@k per query: relevant among the first k, over k also when fewer are returned."""
        result: Floats = (self.gains[:, :k] >= 1).sum(axis=1) / k
        return result


def trec_order(scores: Mapping[str, float]) -> list[str]:
    """Return document ids by falling score; equal scores by falling id, as trec_eval orders them."""
    return [doc for doc, _ in sorted(scores.items(), key=lambda item: (item[1], item[0]), reverse=True)]


def dcg(gains: Floats, k: int) -> Floats:
    """Return the discounted cumulated gain of the first `k` of each row; `gains` has shape (queries, depth)."""
    top = gains[:, :k]
    result: Floats = top @ (1 / np.log2(np.arange(2, top.shape[1] + 2)))
    return result


def ndcg(gains: Floats, ideals: Floats, k: int) -> Floats:
    """Return nDCG@k per row, shape (queries,); 0 where the ideal gain is 0. Shapes as in `GradedRankings`."""
    best = dcg(ideals, k)
    scores: Floats = np.zeros(best.shape)
    np.divide(dcg(gains, k), best, out=scores, where=best > 0)
    return scores


def ndcg_of_ranks(ranks: ArrayLike, k: int = 10) -> Floats:
    """Return nDCG@k of sessions with one relevant document found at `ranks` (from 1; 0 where it was not found)."""
    at = np.asarray(ranks, dtype=np.float64)
    found = (at >= 1) & (at <= k)
    result: Floats = np.where(found, 1 / np.log2(np.where(found, at, 1.0) + 1), 0.0)
    return result


def grade_rankings(
    rankings: Mapping[str, Sequence[str]], qrels: Mapping[str, Mapping[str, int]], depth: int = 100
) -> GradedRankings:
    """Look up the grade of every ranked document, for every query of `qrels` (sorted), down to `depth`.

    A document that is repeated in a ranking counts once, at its first place; negative grades count as 0.
    """
    queries = tuple(sorted(qrels))
    width = max((len(q) for q in qrels.values()), default=0)
    gains, ideals = np.zeros((len(queries), depth)), np.zeros((len(queries), max(width, 1)))
    for row, query in enumerate(queries):
        grades = qrels[query]
        ranked = list(dict.fromkeys(rankings.get(query, ())))[:depth]
        if ranked:
            gains[row, : len(ranked)] = [max(grades.get(doc, 0), 0) for doc in ranked]
        if grades:
            ideals[row, : len(grades)] = sorted((max(g, 0) for g in grades.values()), reverse=True)
    return GradedRankings(queries, gains, ideals, (ideals >= 1).sum(axis=1).astype(np.float64))
