"""Retrieval on LangChain's in-memory vector store, persisted as JSON lines, with embeddings computed here.

The embedding is hashed TF-IDF: each word and each pair of neighbours falls into one of `dimensions` buckets by BLAKE2
with a sign bit (K. Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009), weighted 1 + log tf,
times the smoothed idf over the passages kept, and scaled to length one. It needs no model, no network, and gives the
same numbers in every process.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import ValidationError

from adapters.retrieval.base import Passage
from adapters.retrieval.tokens import words
from domain.errors import DependencyUnavailable


class HashingEmbeddings(Embeddings):
    """Deterministic, local embeddings. `learn` sets the document frequencies the weights come from."""

    def __init__(self, dimensions: int = 1024) -> None:
        self._dimensions = dimensions
        self._documents = 0
        self._frequency: Counter[str] = Counter()

    def learn(self, texts: Sequence[str]) -> None:
        """Count in how many of the texts each term stands."""
        self._documents = len(texts)
        self._frequency = Counter(term for text in texts for term in set(_terms(text)))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector of length one a text (all zeros for a text without words)."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text."""
        vector = [0.0] * self._dimensions
        for term, count in Counter(_terms(text)).items():
            bucket, sign = _place(term, self._dimensions)
            idf = math.log((1 + self._documents) / (1 + self._frequency[term])) + 1
            vector[bucket] += sign * (1 + math.log(count)) * idf
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector] if length else vector


class LangChainRetrieval:
    """A `RetrievalPort` over `path` (JSON lines, a passage a line; the last of an identity counts); None keeps memory
    only.

    Raises:
        DependencyUnavailable: the file cannot be read or written, or is damaged.
    """

    def __init__(self, path: Path | None = None, *, dimensions: int = 1024) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._embeddings = HashingEmbeddings(dimensions)
        self._store: InMemoryVectorStore | None = None
        self._passages: dict[str, Passage] = {passage.id: passage for passage in self._load()}

    def add(self, passage: Passage) -> None:
        """See `RetrievalPort.add`."""
        with self._lock:
            if self._passages.get(passage.id) == passage:
                return
            self._passages[passage.id] = passage
            self._store = None  # one more text changes every weight
            self._append(passage)

    def similar(self, text: str, limit: int = 3) -> Sequence[Passage]:
        """See `RetrievalPort.similar`; the score is the cosine, nothing below zero."""
        with self._lock:
            if not self._passages or limit < 1:
                return []
            store = self._indexed()
            found = store.similarity_search_with_score(text, k=len(self._passages)) if words(text) else []
            scores = {document.metadata["id"]: min(max(score, 0.0), 1.0) for document, score in found}
            scored = [
                passage.model_copy(update={"score": round(scores.get(passage.id, 0.0), 9)})
                for passage in self._passages.values()
            ]
        return sorted(scored, key=lambda passage: (-passage.score, passage.id))[:limit]

    def _indexed(self) -> InMemoryVectorStore:
        if self._store is None:
            self._embeddings.learn([passage.text for passage in self._passages.values()])
            self._store = InMemoryVectorStore(self._embeddings)
            # A text without a word has no direction, hence no cosine.
            known = [passage for passage in self._passages.values() if words(passage.text)]
            documents = [Document(page_content=passage.text, metadata={"id": passage.id}) for passage in known]
            self._store.add_documents(documents, ids=[passage.id for passage in known])
        return self._store

    def _load(self) -> list[Passage]:
        if self._path is None or not self._path.exists():
            return []
        try:
            content = self._path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:  # the last line of a process that died while it wrote
                os.truncate(self._path, len(whole))
        except OSError as error:
            raise self._unusable(str(error)) from error
        passages = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                passages.append(Passage.model_validate_json(line))
            except ValidationError as error:
                raise self._unusable(f"line {number} is no passage") from error
        return passages

    def _append(self, passage: Passage) -> None:
        if self._path is None:
            return
        line = json.dumps(passage.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as out:
                out.write(line + "\n")
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, problem: str) -> DependencyUnavailable:
        return DependencyUnavailable("retrieval", f"{self._path} cannot be used: {problem}", "Mend or move the file")


def _terms(text: str) -> list[str]:
    single = words(text)
    return single + [f"{first} {second}" for first, second in pairwise(single)]


def _place(term: str, dimensions: int) -> tuple[int, float]:
    digest = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "big")
    return digest % dimensions, 1.0 if digest >> 63 else -1.0
