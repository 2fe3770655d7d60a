"""From a query to candidates and their features: everything the re-ranker may look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from testbed.lexical import Field, Floats, LexicalIndex
from testbed.lsa import Lsa
from testbed.tables import Tables
from testbed.text import tokens

__all__ = ["FEATURES", "Candidates", "FeatureBuilder"]

FEATURES = (
    "bm25_text",
    "bm25_title",
    "bm25_expansion",
    "translation_score",
    "lsa_similarity",
    "overlap_idf",
    "title_overlap_idf",
    "expansion_overlap_idf",
    "rarest_word_found",
    "title_covered",
    "subject_prior",
    "popularity",
    "text_length",
    "query_length",
    "relative_score",
)
"""Names of the feature columns, in order."""

_TITLE, _EXPANSION, _TRANSLATION = 0.7, 0.7, 0.4
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Document positions (n,), best first by the candidates' score, and their features (n x features)."""

    positions: Positions
    features: Floats


class FeatureBuilder:
    """Candidates and features of queries over one index with one model's learnt tables.

    A document the model never saw has words and a length; its similarity, expansion and popularity are zero, and so is
    the prior of a subject the model never saw.
    """

    def __init__(self, index: LexicalIndex, tables: Tables, lsa: Lsa | None) -> None:
        self.index, self.tables, self.lsa = index, tables, lsa
        total = sum(tables.popularity.values()) or 1.0
        self.popularity = np.zeros(len(index), np.float32)
        for key, count in tables.popularity.items():
            if key in index.position:
                self.popularity[index.position[key]] = np.log1p(1e4 * count / total)
        number = {name: place for place, name in enumerate(sorted(tables.subjects))}
        self.subject = np.array([number.get(document.subject, -1) for document in index.documents], np.int64)
        self.expansion_words: dict[str, int] = {}
        self.expansion = self._expansion_field()
        self.vectors: Floats | None = None
        if lsa is not None:
            self.vectors = np.zeros((len(index), lsa.projection.shape[1]), np.float32)
            shared = [(index.position[key], row) for key, row in lsa.documents.items() if key in index.position]
            if shared:
                places, rows = np.array(shared).T
                self.vectors[places] = lsa.vectors[rows]

    def _expansion_field(self) -> Field:
        """Learnt words by document: saturated counts times the idf among the expanded documents."""
        places, words, counts = [], [], []
        for key, weights in self.tables.expansion.items():
            place = self.index.position.get(key)
            if place is not None:
                for word, weight in weights.items():
                    places.append(place)
                    words.append(self.expansion_words.setdefault(word, len(self.expansion_words)))
                    counts.append(weight)
        number = np.array(words, np.int32)
        df = np.bincount(number, minlength=max(1, len(self.expansion_words)))
        known = max(1, len(self.tables.expansion))
        idf = np.log1p((known - df + 0.5).clip(0.5) / (df + 0.5))
        self.expansion_idf = idf.astype(np.float32)
        tf = np.array(counts, np.float32)
        length = np.bincount(np.array(places, np.int64), tf, minlength=len(self.index))
        mean = length[length > 0].mean() if (length > 0).any() else 1.0
        norm = 0.4 + 0.6 * length[np.array(places, np.int64)] / mean
        values = (idf[number] * tf / (tf + norm)).astype(np.float32) if words else np.zeros(0, np.float32)
        return Field.from_cells(np.array(places, np.int32), number, values, (len(self.index), len(df)))

    def candidates(
        self, query: str, count: int, *, dense: bool = False, hidden: npt.NDArray[np.bool_] | None = None
    ) -> Candidates:
        """The ``count`` best documents by weighted word scores, with their features; fewer when fewer share a word.

        ``dense`` adds similarity in the latent space over all documents to the score. ``hidden`` documents never
        appear.
        """
        words = list(dict.fromkeys(tokens(query)))
        numbers = self.index.numbers(words)
        text, title = self.index.text.rows(numbers), self.index.title.rows(numbers)
        own = [self.expansion_words[word] for word in words if word in self.expansion_words]
        expansion = self.expansion.rows(own)
        other = {w: p for w, p in self.tables.translate(words).items() if w in self.index.vocabulary}
        translated = self.index.text.total([self.index.vocabulary[w] for w in other], list(other.values()))
        sums = (text.sum(0), title.sum(0), expansion.sum(0))
        score = sums[0] + _TITLE * sums[1] + _EXPANSION * sums[2] + _TRANSLATION * translated
        similarity = self._similarity(words, other)
        if dense:
            score = score + similarity * score.max(initial=1.0)
        if hidden is not None:
            score = np.where(hidden, 0.0, score)
        positions = _best(score, count)
        features = np.empty((len(positions), len(FEATURES)), np.float32)
        idf = self.index.idf[numbers]
        in_text, in_title = text[:, positions] > 0, title[:, positions] > 0
        own_idf = self.expansion_idf[own]
        mass = max(float(idf.sum()), 1e-6)
        columns = (
            sums[0][positions],
            sums[1][positions],
            sums[2][positions],
            translated[positions],
            similarity[positions],
            _mass(idf, in_text | in_title) / mass,
            _mass(idf, in_title) / mass,
            _mass(own_idf, expansion[:, positions] > 0) / max(float(own_idf.sum()), 1e-6),
            (idf[:, None] * (in_text | in_title)).max(axis=0, initial=0.0),
            in_title.sum(0) / np.maximum(self.index.title_length[positions], 1.0),
            self._prior(words)[self.subject[positions]],
            self.popularity[positions],
            self.index.length[positions],
            np.full(len(positions), len(words)),
            score[positions] / max(float(score.max(initial=0.0)), 1e-6),
        )
        for place, column in enumerate(columns):
            features[:, place] = column
        return Candidates(positions, features)

    def _similarity(self, words: list[str], other: dict[str, float]) -> Floats:
        if self.lsa is None or self.vectors is None:
            return np.zeros(len(self.index), np.float32)
        found: Floats = self.vectors @ self.lsa.query({**dict.fromkeys(words, 1.0), **other})
        return found

    def _prior(self, words: list[str]) -> Floats:
        """Beliefs by subject number; the last entry stands for subjects the model never saw."""
        beliefs = self.tables.subject_beliefs(words)
        return np.array([*(beliefs[name] for name in sorted(beliefs)), 0.0], np.float32)


def _mass(weights: Floats, found: npt.NDArray[np.bool_]) -> Floats:
    """The weight of the words found, by document; added word by word, so that the bits are the same everywhere."""
    total: Floats = (weights[:, None] * found).sum(axis=0)
    return total


def _best(score: Floats, count: int) -> Positions:
    """Positions of the highest positive scores, best first, ties by position."""
    positive = int((score > 0).sum())
    count = min(count, positive)
    if count == 0:
        return np.zeros(0, np.int64)
    threshold = np.partition(score, len(score) - count)[len(score) - count]
    places = np.flatnonzero(score >= max(threshold, 1e-12))
    return places[np.argsort(-score[places], kind="stable")][:count]
