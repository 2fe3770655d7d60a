"""Retrieval by shared words, in memory: the baseline that a vector store has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.retrieval.base import Passage
from adapters.retrieval.tokens import words


class MemoryRetrieval:
    """A `RetrievalPort`; the score is the Jaccard index of the two sets of words."""

    def __init__(self) -> None:
        self._passages: dict[str, Passage] = {}

    def add(self, passage: Passage) -> None:
        """See `RetrievalPort.add`."""
        self._passages[passage.id] = passage

    def similar(self, text: str, limit: int = 3) -> Sequence[Passage]:
        """See `RetrievalPort.similar`."""
        asked = set(words(text))
        scored = [passage.model_copy(update={"score": _overlap(asked, passage)}) for passage in self._passages.values()]
        return sorted(scored, key=lambda passage: (-passage.score, passage.id))[: max(limit, 0)]


def _overlap(asked: set[str], passage: Passage) -> float:
    known = set(words(passage.text))
    return len(asked & known) / len(asked | known) if asked | known else 0.0
