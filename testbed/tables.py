"""What clicks and judgements teach beyond the ranking function: popularity, expansion, translation, subject priors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from testbed.lexical import LexicalIndex
from testbed.text import normalise_query, tokens

__all__ = ["Judgement", "Tables", "learn_tables"]

_INTERACTIONS = frozenset({"click", "judgement", "thumb"})
_ROUNDS = 4
_DOCUMENT_WORDS = 40
_MIN_EVIDENCE = 1.5
_MIN_PROBABILITY = 0.08
_TRANSLATIONS = 4
_PRIOR_STRENGTH = 2.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A query (normalised) and a document with its grade >= 0; ``weight`` in (0, 1], below 1 for what no user said."""

    query: str
    doc_id: str
    grade: float
    source: str = "judgement"
    weight: float = 1.0

    @classmethod
    def of(cls, query: str, doc_id: str, grade: float, source: str = "judgement", weight: float = 1.0) -> Judgement:
        """With the query normalised."""
        return cls(normalise_query(query), doc_id, grade, source, weight)


@dataclass(frozen=True, slots=True)
class Tables:
    """Learnt tables; every one may be empty, and a document or word without an entry is simply unknown.

    * popularity: document -> weighted interactions
    * expansion: document -> query word -> weight
    * translation: query word -> document word -> P(document word | query word)
    * subject_words: query word -> subject -> weight
    * subjects: subject -> weight
    """

    popularity: dict[str, float] = field(default_factory=dict)
    expansion: dict[str, dict[str, float]] = field(default_factory=dict)
    translation: dict[str, dict[str, float]] = field(default_factory=dict)
    subject_words: dict[str, dict[str, float]] = field(default_factory=dict)
    subjects: dict[str, float] = field(default_factory=dict)

    def translate(self, query_words: Sequence[str]) -> dict[str, float]:
        """Document words the query words stand for, each with its highest probability, without the query's own."""
        found: dict[str, float] = {}
        for word in query_words:
            for other, probability in self.translation.get(word, {}).items():
                if other not in query_words:
                    found[other] = max(found.get(other, 0.0), probability)
        return found

    def subject_beliefs(self, query_words: Iterable[str]) -> dict[str, float]:
        """P(subject | query) over the subjects seen in training: naive Bayes with the subjects' shares as prior."""
        total = sum(self.subjects.values())
        if total <= 0:
            return {}
        names = sorted(self.subjects)
        share = np.array([self.subjects[name] / total for name in names])
        log_belief = np.log(share)
        for word in query_words:
            seen = self.subject_words.get(word)
            if seen:
                counts = np.array([seen.get(name, 0.0) for name in names])
                log_belief += np.log((counts + _PRIOR_STRENGTH * share) / (counts.sum() + _PRIOR_STRENGTH) / share)
        belief = np.exp(log_belief - log_belief.max())
        belief /= belief.sum()
        return dict(zip(names, belief.tolist(), strict=True))


def learn_tables(judgements: Sequence[Judgement], index: LexicalIndex) -> Tables:
    """Tables from positive judgements of documents in the index; popularity counts only what users did."""
    popularity: defaultdict[str, float] = defaultdict(float)
    expansion: defaultdict[str, defaultdict[str, float]] = defaultdict(_counts)
    subject_words: defaultdict[str, defaultdict[str, float]] = defaultdict(_counts)
    subjects: defaultdict[str, float] = defaultdict(float)
    pairs: list[tuple[list[str], int, float]] = []
    for judgement in judgements:
        place = index.position.get(judgement.doc_id)
        if judgement.grade <= 0 or place is None:
            continue
        words = list(dict.fromkeys(tokens(judgement.query)))
        weight = judgement.weight * min(judgement.grade, 1.0)
        if judgement.source in _INTERACTIONS:
            popularity[judgement.doc_id] += weight
        subject = index.documents[place].subject
        subjects[subject] += weight
        for word in words:
            expansion[judgement.doc_id][word] += weight
            subject_words[word][subject] += weight
        pairs.append((words, place, weight))
    return Tables(
        popularity=_rounded(popularity),
        expansion={key: _rounded(expansion[key]) for key in sorted(expansion)},
        translation=_translations(pairs, index),
        subject_words={word: _rounded(subject_words[word]) for word in sorted(subject_words)},
        subjects=_rounded(subjects),
    )


def _counts() -> defaultdict[str, float]:
    return defaultdict(float)


def _rounded(counts: Mapping[str, float]) -> dict[str, float]:
    return {key: round(float(counts[key]), 4) for key in sorted(counts)}


def _translations(pairs: list[tuple[list[str], int, float]], index: LexicalIndex) -> dict[str, dict[str, float]]:
    """IBM model 1 (Brown et al. 1993) from document words to query words, with a null word for the query's filler.

    A query word that stands in the document explains itself, so what is kept is how users call things that the
    documents name otherwise.
    """
    if not pairs:
        return {}
    vocabulary: dict[str, int] = {}
    names = list(index.vocabulary)
    query, target, pair, weights = [], [], [], []
    for number, (words, place, weight) in enumerate(pairs):
        known = list(dict.fromkeys([*index.title_words[place], *index.text_words[place]]))
        first = [*known[:_DOCUMENT_WORDS], -1]
        for word in words:
            own = index.vocabulary.get(word, -1)
            options = [own] if own in known else first
            query.extend([vocabulary.setdefault(word, len(vocabulary))] * len(options))
            target.extend(options)
            pair.extend([number * 64 + words.index(word)] * len(options))
            weights.extend([weight] * len(options))
    q, d, w = np.array(query, np.int64), np.array(target, np.int64) + 1, np.array(weights)
    _, token = np.unique(np.array(pair), return_inverse=True)
    cells, cell = np.unique(q * (len(names) + 1) + d, return_inverse=True)
    cell_d = cells % (len(names) + 1)
    likelihood = np.ones(len(cells))
    expected: np.ndarray = np.zeros(len(cells))
    for _ in range(_ROUNDS):
        share = likelihood[cell]
        expected = np.bincount(cell, w * share / np.bincount(token, share)[token], minlength=len(cells))
        likelihood = expected / np.bincount(cell_d, expected)[cell_d]
    return _strongest(cells, expected, list(vocabulary), names)


def _strongest(
    cells: np.ndarray, expected: np.ndarray, queries: list[str], names: list[str]
) -> dict[str, dict[str, float]]:
    """The likeliest document words of each query word, as far as the evidence carries them."""
    width = len(names) + 1
    totals = np.bincount(cells // width, expected, minlength=len(queries))
    table: defaultdict[str, dict[str, float]] = defaultdict(dict)
    probability = expected / totals[cells // width]
    keep = (expected >= _MIN_EVIDENCE) & (probability >= _MIN_PROBABILITY) & (cells % width > 0)
    for place in np.flatnonzero(keep):
        word, other = queries[cells[place] // width], names[cells[place] % width - 1]
        if word != other:
            table[word][other] = round(float(probability[place]), 4)
    return {word: dict(sorted(table[word].items(), key=_by_probability)[:_TRANSLATIONS]) for word in sorted(table)}


def _by_probability(option: tuple[str, float]) -> tuple[float, str]:
    return -option[1], option[0]
