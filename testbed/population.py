"""Users with intents: who asks, for which document, in which words. Everything follows from a seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from testbed.corpus import Collection, Document
from testbed.text import normalise_query, tokens
from testbed.vocabulary import UserVocabulary

__all__ = ["Intent", "Population"]

_USERS = 2000
_DOCUMENT_ZIPF, _DOCUMENT_OFFSET = 1.1, 2.0
_SUBJECT_ZIPF = 0.5
_SALIENT = 16
_TRUTH_QUERIES = 0.4
_REAL_SHARE = 0.3
_ASTRAY = 0.12
_HABIT = (0.35, 0.85)
_QUESTIONS = ("how to", "how do i", "what is", "what does", "where is", "which", "best way to", "can i", "why does")
_FILLERS = ("python", "example", "help", "simple", "quick", "use", "code", "usage", "docs", "explain")


@dataclass(frozen=True, slots=True)
class Intent:
    """One session's wish: ``relevant`` maps document ids to grades > 0, best first; ``subject`` is that of the best
    one.
    """

    user_id: str
    query: str
    relevant: dict[str, int]
    subject: str

    @property
    def target(self) -> str:
        """The document the user is after."""
        return next(iter(self.relevant))


@dataclass(frozen=True, slots=True)
class _RealQuery:
    text: str
    relevant: dict[str, int]


class Population:
    """Seeded users over documents; a session is a function of (seed, stream, n, mix) alone.

    Popularity of documents within a subject follows Zipf's law, and so do the subjects. With a collection, a share of
    the sessions asks its real queries with their graded judgements; some of those are never asked but in the stream
    "truth".
    """

    def __init__(self, documents: Sequence[Document], seed: int, collection: Collection | None = None) -> None:
        if not documents:
            raise ValueError("a population needs at least one document to ask for")
        self.seed = seed
        self.vocabulary = UserVocabulary(seed)
        self._documents = {document.id: document for document in documents}
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for document in documents:
            groups[document.subject].append(document.id)
        self._ranked = {subject: self._shuffled(groups[subject]) for subject in sorted(groups)}
        ranks = {subject: np.arange(len(ids)) for subject, ids in self._ranked.items()}
        weights = {subject: (rank + _DOCUMENT_OFFSET) ** -_DOCUMENT_ZIPF for subject, rank in ranks.items()}
        self._cumulated = {subject: np.cumsum(weight) / weight.sum() for subject, weight in weights.items()}
        self._words = {document.id: tokens(f"{document.title} {document.text}") for document in documents}
        self._df: defaultdict[str, int] = defaultdict(int)
        for words in self._words.values():
            for word in set(words):
                self._df[word] += 1
        self._common = sorted(self._df, key=lambda word: (-self._df[word], word))[:2000]
        self._salient: dict[str, tuple[list[str], np.ndarray]] = {}
        self._real, self._fresh = self._real_queries(collection)

    @property
    def subjects(self) -> list[str]:
        """All subjects, sorted."""
        return list(self._ranked)

    def mix(self, known: Iterable[str], new: Iterable[str] = (), new_share: float = 0.0) -> dict[str, float]:
        """Subject -> share of the traffic: Zipf within the known subjects and within the new ones, which get
        ``new_share``.
        """
        shares: dict[str, float] = {}
        for names, total in ((sorted(set(known)), 1.0 - new_share), (sorted(set(new)), new_share)):
            ranked = [name for name in self._shuffled(names) if name in self._ranked]
            weights = (np.arange(len(ranked)) + 1.0) ** -_SUBJECT_ZIPF
            if total > 0:
                shares.update(zip(ranked, (total * weights / weights.sum()).round(6).tolist(), strict=True))
        return dict(sorted(shares.items()))

    def session(self, n: int, mix: Mapping[str, float], *, stream: str = "traffic", hard: bool = False) -> Intent:
        """The n-th session of a stream for a mix of subjects (subject -> weight).

        ``hard`` sessions ask for documents nobody asks for, in few and common words. Streams share no randomness, so
        intents of "truth" are fresh to anything that learnt from "traffic".

        Raises:
            ValueError: when the mix names no subject of this population with a positive weight.
        """
        names = [name for name in sorted(mix) if mix[name] > 0 and name in self._ranked]
        if not names:
            raise ValueError(f"mix={dict(mix)}: names no subject of the corpus with a positive weight")
        rng = np.random.default_rng(_number(self.seed, stream, str(n), "hard" if hard else ""))
        user = int(rng.integers(_USERS))
        pool = self._fresh if stream == "truth" else self._real
        if pool and not hard and rng.random() < _REAL_SHARE:
            intent = self._ask_real(pool, user, names, rng)
            if intent is not None:
                return intent
        weights = np.array([mix[name] for name in names])
        subject = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        ids = self._ranked[subject]
        place = rng.integers(len(ids)) if hard else np.searchsorted(self._cumulated[subject], rng.random())
        target = ids[min(int(place), len(ids) - 1)]
        query = self._hard_words(target, rng) if hard else self._known_item(target, user, rng)
        return Intent(_user_id(user), query, {target: 1}, subject)

    def _known_item(self, target: str, user: int, rng: np.random.Generator) -> str:
        words, weights = self._salience(target)
        size = min(len(words), int(rng.integers(2, 5)))
        chosen = [words[i] for i in rng.choice(len(words), size, replace=False, p=weights)]
        return self._phrase([self._say(word, user, rng) for word in chosen], rng)

    def _hard_words(self, target: str, rng: np.random.Generator) -> str:
        words, _ = self._salience(target)
        common = sorted(words, key=lambda word: (-self._df[word], word))[:4]
        chosen = [common[i] for i in rng.choice(len(common), min(len(common), int(rng.integers(1, 3))), replace=False)]
        return self._phrase([self.vocabulary.name(word) or word for word in chosen], rng)

    def _ask_real(self, pool: list[_RealQuery], user: int, names: list[str], rng: np.random.Generator) -> Intent | None:
        """A real query in a user's words, as far as its relevant documents belong to the subjects of the mix."""
        real = pool[int(rng.integers(len(pool)))]
        live = {key: grade for key, grade in real.relevant.items() if self._documents[key].subject in names}
        if not live:
            return None
        words = [word for word in tokens(real.text) if rng.random() < 0.8] or tokens(real.text)
        best = max(live.values())
        first = [key for key, grade in live.items() if grade == best]
        target = first[int(rng.integers(len(first)))]
        said = " ".join(self._say(word, user, rng) for word in words)
        return Intent(_user_id(user), said, {target: live.pop(target), **live}, self._documents[target].subject)

    def _say(self, word: str, user: int, rng: np.random.Generator) -> str:
        """The document's word or the users' own name for it, at times a word astray; habits differ by user."""
        if rng.random() < _ASTRAY:
            return self._common[int(rng.integers(len(self._common)))]
        low, high = _HABIT
        habit = low + (high - low) * (_number(self.seed, "habit", str(user)) % 1000) / 1000
        other = self.vocabulary.name(word)
        return other if other and rng.random() < habit else word

    def _phrase(self, words: list[str], rng: np.random.Generator) -> str:
        if rng.random() < 0.3:
            words = [_QUESTIONS[int(rng.integers(len(_QUESTIONS)))], *words]
        if rng.random() < 0.3:
            words = [*words, _FILLERS[int(rng.integers(len(_FILLERS)))]]
        return normalise_query(" ".join(words))

    def _salience(self, target: str) -> tuple[list[str], np.ndarray]:
        """The words that come to mind for a document: frequent in it, telling, and known beyond it."""
        if target not in self._salient:
            counts: defaultdict[str, int] = defaultdict(int)
            for word in self._words[target]:
                counts[word] += 1
            idf = {word: np.log(len(self._documents) / self._df[word]) for word in counts}
            weight = {word: (1 + np.log(counts[word])) * min(idf[word], 4.0) for word in counts if self._df[word] > 1}
            weight = weight or dict.fromkeys(counts, 1.0) or {target: 1.0}
            words = sorted(weight, key=lambda word: (-weight[word], word))[:_SALIENT]
            chances = np.array([weight[word] for word in words]) + 1e-9
            self._salient[target] = (words, chances / chances.sum())
        return self._salient[target]

    def _shuffled(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=lambda name: _number(self.seed, "rank", name))

    def _real_queries(self, collection: Collection | None) -> tuple[list[_RealQuery], list[_RealQuery]]:
        """(asked in traffic, kept for the truth), by the hash of the query's id."""
        asked: list[_RealQuery] = []
        kept: list[_RealQuery] = []
        for key, grades in sorted(collection.qrels.items()) if collection else ():
            live = {doc: grade for doc, grade in sorted(grades.items()) if grade > 0 and doc in self._documents}
            if live and collection:
                fresh = _number(self.seed, "real", key) % 1000 < 1000 * _TRUTH_QUERIES
                (kept if fresh else asked).append(_RealQuery(collection.queries[key], live))
        return asked, kept


def _user_id(user: int) -> str:
    return f"u{user:05d}"


def _number(seed: int, *parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join((str(seed), *parts)).encode()).digest()[:8])
