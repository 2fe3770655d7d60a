"""Training examples, and the ways new ones are made from documents, judgements and the index.

Pure functions, seeded.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from adapters.platform.base import JudgementRow, PlatformDocument

_WORD = re.compile(r"[a-z0-9]+")
# Words that carry no subject; a generated query made of them would match everything.
_STOP_WORDS = """
a an and are as at be by can do does for from has have how if in into is it its like not of on or that the this to was
what when which will with you your we use used using return returns self none true false args kwargs parameters optional
default
"""
_STOP = frozenset(_STOP_WORDS.split())
MIN_PAIR_COUNT = 3
MIN_LIFT = 4.0
TEMPLATES = ("how to {}", "{} example", "what is {}", "{} usage", "way to {}")

Paraphraser = Callable[[Sequence[str]], Sequence[str]]
"""Texts in, as many paraphrases out, in the same order."""


@dataclass(frozen=True)
class Example:
    """One (query, document) pair; grade 0 is a negative, `weight` in (0, 1] is relative to a judged one."""

    query: str
    doc_id: str
    grade: int
    source: str
    weight: float = 1.0


def words(text: str) -> list[str]:
    """Return the lower-case words of `text` that carry meaning."""
    return [w for w in _WORD.findall(text.lower()) if w not in _STOP and len(w) > 1]


class Vocabulary:
    """The words of documents, looked up when they are asked for."""

    def __init__(self, documents: Iterable[PlatformDocument]) -> None:
        self._documents = {d.id: d for d in documents}
        self._words: dict[str, frozenset[str]] = {}

    def overlap(self, row: JudgementRow) -> float:
        """Return the share of the query's words that stand in the judged document, 0 when it is unknown."""
        document = self._documents.get(row.doc_id)
        asked = words(row.query)
        if document is None or not asked:
            return 0.0
        known = self._words.get(row.doc_id)
        if known is None:
            known = self._words[row.doc_id] = frozenset(words(f"{document.title} {document.text}"))
        return sum(word in known for word in asked) / len(asked)


def judged_examples(rows: Iterable[JudgementRow]) -> list[Example]:
    """Return what users judged."""
    return [Example(row.query, row.doc_id, row.grade, "judged") for row in rows]


def mine_synonyms(rows: Iterable[JudgementRow], documents: Mapping[str, PlatformDocument]) -> dict[str, str]:
    """Return, for words of documents, the word users say instead.

    A pair counts when a query lacks the document's word and the document lacks the query's; it is kept from three
    sessions on and from a lift (joint over independent frequency) of four on: pointwise mutual information, Church and
    Hanks (1990).
    """
    pairs: Counter[tuple[str, str]] = Counter()
    said: Counter[str] = Counter()
    written: Counter[str] = Counter()
    total = 0
    for row in rows:
        document = documents.get(row.doc_id)
        if document is None:
            continue
        asked, text = set(words(row.query)), set(words(f"{document.title} {document.text}")[:60])
        total += 1
        said.update(asked - text)
        written.update(text - asked)
        pairs.update((w, u) for w in text - asked for u in asked - text)
    best: dict[str, tuple[float, str]] = {}
    for (word, user), count in sorted(pairs.items()):
        lift = count * total / (said[user] * written[word])
        if count >= MIN_PAIR_COUNT and lift >= MIN_LIFT and lift > best.get(word, (0.0, ""))[0]:
            best[word] = (lift, user)
    return {word: user for word, (_, user) in best.items()}


def generate_queries(
    documents: Sequence[PlatformDocument], frequency: Mapping[str, int], count: int, weight: float, rng: random.Random
) -> list[Example]:
    """Return known-item queries: two to five of a document's rarer words, in their order, `count` in all."""
    examples = []
    usable = [
        (d, sorted(set(words(f"{d.title} {d.text}")[:40]), key=lambda w: (frequency.get(w, 0), w))[:12])
        for d in documents
    ]
    usable = [(d, kept) for d, kept in usable if len(kept) >= 2]
    for number in range(count if usable else 0):
        document, kept = usable[number % len(usable)]
        chosen = set(rng.sample(kept, min(len(kept), rng.randint(2, 5))))
        query = " ".join(w for w in dict.fromkeys(words(f"{document.title} {document.text}")) if w in chosen)
        examples.append(Example(query, document.id, 1, "query_generation", weight))
    return examples


def substitute(
    examples: Sequence[Example], synonyms: Mapping[str, str], weight: float, rng: random.Random
) -> list[Example]:
    """Return each example again with the words users would say, where at least one is known."""
    changed = []
    for example in examples:
        said = [synonyms[w] if w in synonyms and rng.random() < 0.7 else w for w in example.query.split()]
        query = " ".join(said)
        if query != example.query:
            changed.append(Example(query, example.doc_id, example.grade, "synonym", weight))
    return changed


def paraphrase(
    examples: Sequence[Example], weight: float, rng: random.Random, by_model: Paraphraser | None = None
) -> list[Example]:
    """Return the examples said otherwise: by the model where there is one, else by question templates."""
    if by_model is not None:
        texts = by_model([e.query for e in examples])
        return [Example(t, e.doc_id, e.grade, "paraphrase", weight) for t, e in zip(texts, examples, strict=True)]
    return [Example(rng.choice(TEMPLATES).format(e.query), e.doc_id, e.grade, "paraphrase", weight) for e in examples]


def hard_negatives(rows: Iterable[JudgementRow], limit: int) -> list[Example]:
    """Return documents the index ranked above the one the user wanted: shown first, not clicked, not judged."""
    wanted: dict[str, set[str]] = defaultdict(set)
    kept = list(rows)
    for row in kept:
        wanted[row.query].add(row.doc_id)
        wanted[row.query].update(row.clicked)
    found: dict[tuple[str, str], Example] = {}
    for row in kept:
        above = row.shown[: row.shown.index(row.doc_id)] if row.doc_id in row.shown else row.shown[:2]
        for shown in above:
            if shown not in wanted[row.query]:
                found[row.query, shown] = Example(row.query, shown, 0, "hard_negatives")
    return [found[key] for key in sorted(found)][:limit]


def unique(examples: Iterable[Example]) -> tuple[list[Example], int]:
    """Return the examples without repeats of (query, document, grade), and how many repeats there were.

    Of repeats the judged one is kept.
    """
    kept: dict[tuple[str, str, bool], Example] = {}
    repeats = 0
    for example in examples:
        key = (example.query, example.doc_id, example.grade > 0)
        if key in kept:
            repeats += 1
        else:
            kept[key] = example
    return list(kept.values()), repeats


def diversity(examples: Sequence[Example]) -> float:
    """Return the share of distinct word pairs among all of the queries' (distinct-2, Li et al. 2016), in [0, 1]."""
    grams = [pair for e in examples for tokens in [e.query.split()] for pair in pairwise(tokens)]
    return len(set(grams)) / len(grams) if grams else 0.0
