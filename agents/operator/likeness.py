"""What a sentence is most like: learned from sentences that people wrote (`prompts/operator_examples`), and kept.

The grammar (`questions`, `orders`) knows the words it was given; this reader generalises over the ways people put a
thing. It says which kind of intent a sentence is, and no more: slots are the grammar's, and so is every veto. Names are
put as what they are names of, so that it learns nothing about them (`learning.phrasing`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from agents.operator.names import Vocabulary, named
from agents.operator.words import Word, normalised, stem, words
from domain.intent import Kind
from learning.phrasing import Phrasing, learned
from prompts.library import source

NO_ORDER = "ask_back"
KEPT = "operator_likeness.json"
"""What was learned, below `prompts`; `python -m evals.likeness` writes it anew."""
_NAMES = ("environment", "flag", "model", "signal", "role")
_FORMS = tuple(
    (re.compile(form), f"x{name}")
    for form, name in (
        (r"si_[\d_]+", "cycle"),
        (r"ap_[0-9a-f]+", "approval"),
        (r"gold/.*", "gold"),
        (r"(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}", "revision"),
        (r"\d{4}-\d{2}-\d{2}", "date"),
        (r"[\d.,]+%?", "number"),
    )
)


@dataclass(frozen=True)
class Likeness:
    """What a sentence is most like. `kind` None: an order that nobody gave, or nothing that has an answer.

    `tag` says which order of its kind (``free``, ``held``, ``look``; ``on``, ``off``; else ``said``), `ahead` how far
    it is ahead of the next kind, `tag_ahead` how far the tag is ahead of the next of its kind. `familiar` is the share
    of its words that some example has: what is said in another language is like none of them.
    """

    kind: Kind | None
    tag: str
    ahead: float
    tag_ahead: float
    familiar: float = 1.0


def likeness(text: str, vocabulary: Vocabulary) -> Likeness:
    """Return what a sentence is most like."""
    known, put = kept(), features(text, vocabulary)
    scored = sorted(zip(known.phrasing.values(put), known.labels, strict=True), reverse=True)
    (best, (kind, tag)) = scored[0]
    other = next(value for value, (named_kind, _) in scored if named_kind != kind)
    same = next((value for value, (named_kind, named_tag) in scored if named_kind == kind and named_tag != tag), None)
    said = put.split()[1:-1]
    return Likeness(
        kind=_kind(kind),
        tag=tag,
        ahead=best - other,
        tag_ahead=best - same if same is not None else best - other,
        familiar=sum(word in known.phrasing.words for word in said) / len(said) if said else 0.0,
    )


def examples() -> Sequence[tuple[str, str, str]]:
    """Return the sentences that it learns from: the kind, the tag, and what was said."""
    found = []
    for kind in (*sorted(Kind), NO_ORDER):
        told: dict[str, list[str]] = yaml.load(source(f"operator_examples/{kind}.yaml"), Loader=yaml.CSafeLoader)
        found += [(str(kind), str(tag), said) for tag, sentences in told.items() for said in sentences]
    return found


@dataclass(frozen=True)
class Learned:
    """What there is to say, and how it is said."""

    labels: tuple[tuple[str, str], ...]
    phrasing: Phrasing

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"labels": [list(label) for label in self.labels], **self.phrasing.plain()}


def learn() -> Learned:
    """Learn from the examples: a second or two."""
    vocabulary, told = Vocabulary(), examples()
    labels = tuple(sorted({(kind, tag) for kind, tag, _ in told}))
    number = {label: place for place, label in enumerate(labels)}
    sentences = [features(said, vocabulary) for _, _, said in told]
    return Learned(labels, learned(sentences, [number[kind, tag] for kind, tag, _ in told]))


@cache
def kept() -> Learned:
    """Return what was learned, as it is kept beside the examples: a test holds that it is what they teach.

    Raises:
        ConfigurationError: there is no such file.
    """
    plain = json.loads(source(KEPT))
    return Learned(tuple((kind, tag) for kind, tag in plain["labels"]), Phrasing.of(plain))


def features(text: str, vocabulary: Vocabulary) -> str:
    """Return a sentence as it is learned: stems, and names put as what they are names of."""
    said = words(normalised(text))
    put = [_formed(word) for word in said]
    for sort in _NAMES:
        for each in named(said, sort, vocabulary):
            for place in each.places:
                put[place] = f"x{sort}"
    once = [each for place, each in enumerate(put) if place == 0 or each != put[place - 1] or not each.startswith("x")]
    return " ".join(["xbegins", *once, *(["xasks"] if "?" in text else []), "xends"])


def _formed(word: Word) -> str:
    return next((name for form, name in _FORMS if form.fullmatch(word.text)), stem(word.text))


def _kind(label: str) -> Kind | None:
    return None if label == NO_ORDER else Kind(label)
