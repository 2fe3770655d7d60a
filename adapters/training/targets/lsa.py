"""Latent semantic embeddings: truncated SVD over tf-idf (Deerwester et al. 1990), kept as plain arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from domain.errors import DependencyLied, InvalidInput

Floats = npt.NDArray[np.float32]
_VOCABULARY, _ARRAYS = "vocabulary.json", "lsa.npz"


class LatentSemantic:
    """Embeds texts as unit vectors; a text without a known word is all zeros."""

    def __init__(self, vocabulary: Sequence[str], idf: Floats, components: Floats) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.vocabulary = list(vocabulary)
        self._idf = idf
        self._components = components
        self._vectorizer: Any = TfidfVectorizer(vocabulary=self.vocabulary, sublinear_tf=True)
        self._vectorizer.idf_ = idf.astype(np.float64)

    @property
    def dimensions(self) -> int:
        return int(self._components.shape[0])

    @classmethod
    def fitted(cls, texts: Sequence[str], *, dimensions: int, min_df: int, max_words: int, seed: int) -> LatentSemantic:
        """Learn the space of these texts.

        Raises:
            InvalidInput: they have fewer than two words in common use.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=min_df, max_features=max_words)
        try:
            matrix = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise InvalidInput("documents.jsonl", f"no words to learn from: {error}", "Lower params.min_df") from error
        width = min(dimensions, min(matrix.shape) - 1)
        if width < 1:
            raise InvalidInput("documents.jsonl", f"{matrix.shape[0]} texts are too few", "Give at least two")
        svd = TruncatedSVD(n_components=width, random_state=seed, algorithm="randomized").fit(matrix)
        words = [str(word) for word in vectorizer.get_feature_names_out()]
        return cls(words, vectorizer.idf_.astype(np.float32), svd.components_.astype(np.float32))

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors (texts x dimensions)."""
        vectors = np.asarray(self._vectorizer.transform(texts) @ self._components.T.astype(np.float64))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Floats = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0).astype(np.float32)
        return unit

    def save(self, folder: Path) -> None:
        """Write the space into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _VOCABULARY).write_text(json.dumps(self.vocabulary, ensure_ascii=False), encoding="utf-8")
        np.savez(folder / _ARRAYS, idf=self._idf, components=self._components)

    @classmethod
    def load(cls, folder: Path) -> LatentSemantic:
        """Read a space from a folder.

        Raises:
            DependencyLied: it is not there, or its parts do not fit together.
        """
        try:
            words = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
            with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
                idf, components = arrays["idf"], arrays["components"]
        except (OSError, ValueError, KeyError) as error:
            raise DependencyLied("training", f"{folder.name} holds no latent semantic space: {error}") from error
        if not len(words) == len(idf) == components.shape[1]:
            raise DependencyLied("training", f"the parts of {folder.name} do not fit together", "Train it again")
        return cls(words, idf, components)
