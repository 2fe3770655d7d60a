"""Searching: BM25 candidates, re-ranked by a released model."""

from __future__ import annotations

from collections.abc import Collection as AnyCollection
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np

from testbed.bundle import Bundle
from testbed.corpus import Document
from testbed.features import FeatureBuilder
from testbed.lexical import LexicalIndex
from testbed.tables import Tables

__all__ = ["MODES", "Bundle", "Hit", "LexicalIndex", "Mode", "Searcher"]

Mode = Literal["fast", "balanced", "exhaustive"]
MODES: tuple[Mode, ...] = get_args(Mode)

_CANDIDATES: dict[Mode, int] = {"fast": 12, "balanced": 50, "exhaustive": 1500}


class Hit(NamedTuple):
    """One result; the score orders results of one query and means nothing between queries."""

    id: str
    score: float


class Searcher:
    """Search over live documents with one model; without a model the candidates' order (plain BM25) is the answer.

    ``documents`` may be a ready ``LexicalIndex``, which several searchers can share. Objects are read-only after
    construction except for ``hide``, and safe to use from several threads.
    """

    def __init__(self, documents: Iterable[Document] | LexicalIndex, bundle: Bundle | None) -> None:
        self.index = documents if isinstance(documents, LexicalIndex) else LexicalIndex(documents)
        self.bundle = bundle
        tables, lsa = (bundle.tables, bundle.lsa) if bundle else (Tables(), None)
        self.builder = FeatureBuilder(self.index, tables, lsa)
        self._hidden: np.ndarray | None = None

    def hide(self, ids: AnyCollection[str]) -> None:
        """Leaves these documents out of every further answer, as when their part of the index cannot be read."""
        mask = np.zeros(len(self.index), np.bool_)
        mask[[self.index.position[key] for key in ids if key in self.index.position]] = True
        self._hidden = mask if mask.any() else None

    def search(self, query: str, k: int = 10, mode: Mode = "balanced", candidates: int | None = None) -> list[Hit]:
        """The best ``k`` of ``candidates`` documents (None: as many as the mode says), best first; empty when no word
        of the query is known.

        Raises:
            ValueError: for an unknown mode or a ``k`` below 1.
        """
        if mode not in _CANDIDATES:
            raise ValueError(f"mode={mode!r}: must be one of {', '.join(MODES)}")
        if k < 1:
            raise ValueError(f"k={k}: must be at least 1")
        count = max(k, candidates or _CANDIDATES[mode])
        found = self.builder.candidates(query, count, dense=mode == "exhaustive", hidden=self._hidden)
        if self.bundle is None:
            scores = found.features[:, -1].astype(np.float64)
        else:
            scores = self.bundle.forest.predict(found.features) if len(found.positions) else np.zeros(0)
        order = np.argsort(-scores, kind="stable")[:k]
        return [Hit(self.index.ids[found.positions[place]], float(scores[place])) for place in order]
