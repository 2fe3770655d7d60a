"""The words of the documents: two BM25 fields (bm25s) over one vocabulary, shared by every model that serves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from testbed.corpus import Document
from testbed.text import tokens

__all__ = ["Field", "Floats", "Ints", "LexicalIndex"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


class Field:
    """Scores of one field by word (columns) and document (rows), compressed by column.

    ``data`` and ``indices`` hold the non-zero scores and their document positions, ``indptr`` where each word begins.
    """

    def __init__(self, data: Floats, indices: Ints, indptr: npt.NDArray[np.int64], documents: int) -> None:
        self.data, self.indices, self.indptr, self.documents = data, indices, indptr, documents

    @classmethod
    def bm25(cls, words: Sequence[Sequence[int]], vocabulary: dict[str, int]) -> Field:
        """BM25 (Robertson et al. 1994, Lucene's variant, k1 1.2, b 0.75) of documents given as word numbers."""
        import bm25s

        if not any(words):
            empty = np.zeros(0, np.int32)
            return cls.from_cells(empty, empty, np.zeros(0, np.float32), (len(words), len(vocabulary)))
        model = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
        model.index((list(words), vocabulary), create_empty_token=False, show_progress=False)
        scores: dict[str, Any] = model.scores
        return cls(scores["data"], scores["indices"], np.asarray(scores["indptr"], np.int64), len(words))

    @classmethod
    def from_cells(cls, documents: Ints, words: Ints, values: Floats, shape: tuple[int, int]) -> Field:
        """From parallel arrays of (document position, word number, score); ``shape`` is (documents, words)."""
        order = np.lexsort((documents, words))
        counts = np.bincount(words, minlength=shape[1])
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(values[order].astype(np.float32), documents[order].astype(np.int32), indptr, shape[0])

    def rows(self, words: Sequence[int]) -> Floats:
        """Dense scores (words x documents)."""
        out = np.zeros((len(words), self.documents), np.float32)
        for row, word in enumerate(words):
            start, end = self.indptr[word], self.indptr[word + 1]
            out[row, self.indices[start:end]] = self.data[start:end]
        return out

    def total(self, words: Sequence[int], weights: Sequence[float]) -> Floats:
        """The weighted sum over words (documents,)."""
        out = np.zeros(self.documents, np.float32)
        for word, weight in zip(words, weights, strict=True):
            start, end = self.indptr[word], self.indptr[word + 1]
            out[self.indices[start:end]] += self.data[start:end] * np.float32(weight)
        return out


class LexicalIndex:
    """Every live document by its words, whether a model knows it or not.

    ``position`` maps a document id to its row; ``words`` holds the word numbers of title and text by row; ``idf`` is by
    word.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        self._build([(document, tokens(document.title), tokens(document.text)) for document in documents])

    def extended(self, documents: Iterable[Document]) -> LexicalIndex:
        """A new index with further documents; a known id replaces the old document. This one stays as it is."""
        fresh = {document.id: (document, tokens(document.title), tokens(document.text)) for document in documents}
        kept = [row for row in self._rows if row[0].id not in fresh]
        other = LexicalIndex.__new__(LexicalIndex)
        other._build([*kept, *fresh.values()])
        return other

    def _build(self, rows: list[tuple[Document, list[str], list[str]]]) -> None:
        if not rows:
            raise ValueError("an index needs at least one document")
        self._rows = rows
        self.documents = [row[0] for row in rows]
        self.ids = [document.id for document in self.documents]
        self.position = {key: place for place, key in enumerate(self.ids)}
        if len(self.position) != len(self.ids):
            raise ValueError("document ids must be unique: the same id is there twice")
        self.vocabulary: dict[str, int] = {}
        number = self.vocabulary
        titles = [[number.setdefault(word, len(number)) for word in title] for _, title, _ in rows]
        texts = [[number.setdefault(word, len(number)) for word in text] for _, _, text in rows]
        number.setdefault("", len(number))
        self.title_words, self.text_words = titles, texts
        self.words = [sorted({*title, *text}) for title, text in zip(titles, texts, strict=True)]
        self.title = Field.bm25(titles, number)
        self.text = Field.bm25(texts, number)
        self.df = np.bincount(np.concatenate([np.asarray(w, np.int64) for w in self.words]), minlength=len(number))
        self.idf = np.log1p((len(rows) - self.df + 0.5) / (self.df + 0.5)).astype(np.float32)
        self.length = np.log1p(np.array([len(text) for text in texts], np.float32))
        self.title_length = np.array([len(set(title)) for title in titles], np.float32)

    def numbers(self, query_words: Iterable[str]) -> list[int]:
        """Word numbers of the words the index has, each once, in order of first appearance."""
        return list(dict.fromkeys(self.vocabulary[word] for word in query_words if word in self.vocabulary))

    def __len__(self) -> int:
        return len(self.ids)
