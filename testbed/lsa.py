"""Latent semantic analysis (Deerwester et al. 1990): documents and queries in the space of one corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from testbed.lexical import Floats, LexicalIndex

__all__ = ["Lsa", "fit_lsa"]

_MAX_WORDS = 20_000
_OVERSAMPLE = 10
_POWER_ROUNDS = 3
_STEPS = 1024


@dataclass(frozen=True, slots=True)
class Lsa:
    """``words``: word -> row of ``projection`` (words x dimensions); ``documents``: id -> row of ``vectors`` (unit
    length).

    A projection's row is already weighted with the word's idf.
    """

    words: dict[str, int]
    projection: Floats
    documents: dict[str, int]
    vectors: Floats

    def query(self, words: Mapping[str, float] | Iterable[str]) -> Floats:
        """The unit vector (dimensions,) of weighted words; zeros when none of them is known."""
        weights = words if isinstance(words, Mapping) else dict.fromkeys(words, 1.0)
        vector = np.zeros(self.projection.shape[1])
        for word, weight in weights.items():
            row = self.words.get(word)
            if row is not None:
                vector += weight * self.projection[row].astype(np.float64)
        unit: Floats = _quantised_unit(vector[None, :])[0]
        return unit


def fit_lsa(index: LexicalIndex, dimensions: int, seed: int) -> Lsa:
    """Truncated SVD of the log-tf-idf matrix by randomised subspace iteration (Halko, Martinsson, Tropp 2011, alg.
    4.4).

    Rounded on the way, so that every process arrives at the same bytes.
    """
    from scipy import sparse
    from threadpoolctl import threadpool_limits

    kept = np.sort(np.argsort(-np.where(index.df >= 2, index.df, 0), kind="stable")[:_MAX_WORDS])
    kept = kept[index.df[kept] >= 2] if (index.df >= 2).any() else kept
    column = np.full(len(index.vocabulary), -1)
    column[kept] = np.arange(len(kept))
    rows, columns = [], []
    for place, (title, text) in enumerate(zip(index.title_words, index.text_words, strict=True)):
        rows.append(np.full(len(title) + len(text), place))
        columns.append(column[np.array([*title, *text], np.int64)])
    row, col = np.concatenate(rows), np.concatenate(columns)
    shape = (len(index), len(kept))
    matrix = sparse.csr_matrix((np.ones((col >= 0).sum()), (row[col >= 0], col[col >= 0])), shape=shape)
    matrix.sum_duplicates()
    matrix.data = np.log1p(matrix.data) * index.idf[kept][matrix.indices]
    matrix = sparse.diags(1.0 / np.maximum(_row_norms(matrix.data, matrix.indptr), 1e-9)) @ matrix
    width = max(1, min(dimensions, min(shape) - 1))
    with threadpool_limits(1):
        basis = np.random.default_rng(seed).standard_normal((shape[1], min(width + _OVERSAMPLE, min(shape))))
        for _ in range(_POWER_ROUNDS):
            basis = _steady(np.linalg.qr(matrix.T @ _steady(np.linalg.qr(matrix @ basis)[0]))[0])
        _, _, right = np.linalg.svd(matrix @ basis, full_matrices=False)
        directions = _steady((basis @ right.T)[:, :width])
    directions *= np.where(directions.sum(axis=0) < 0, -1.0, 1.0)
    vectors = _quantised_unit(matrix @ directions)
    projection = (directions * index.idf[kept][:, None]).astype(np.float32)
    names = list(index.vocabulary)
    return Lsa({names[k]: r for r, k in enumerate(kept)}, projection, dict(index.position), vectors)


def _row_norms(data: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(data**2)])
    norms: np.ndarray = np.sqrt(np.maximum(sums[indptr[1:]] - sums[indptr[:-1]], 0.0))
    return norms


def _steady(basis: np.ndarray) -> np.ndarray:
    """Entries in hundredths of their usual size: its last bits depend on where arrays lie in memory."""
    scale = np.sqrt(len(basis))
    steady: np.ndarray = np.round(basis * scale, 2) / scale
    return steady


def _quantised_unit(vectors: np.ndarray) -> Floats:
    """Rows of unit length in multiples of 1/1024, so that float32 dot products are exact in any order of addition."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.round(vectors / np.maximum(norms, 1e-9) * _STEPS) / _STEPS, np.float32)
