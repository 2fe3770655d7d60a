"""Names of Evercrew's own things in a sentence: signals, gates, flags, roles, models, environments, tools.

What is found is always a name of the vocabulary, never the words of the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from agents.operator.lexicon import GAP, found_at, listed, starts_of
from agents.operator.words import Word, stem

ENVIRONMENTS = listed("names", "environment")
_SIGNALS = listed("names", "signal")
_GATES = {**_SIGNALS, **{name: f"{_SIGNALS[name]}, {more}" for name, more in listed("names", "gate").items()}}
_FLAGS = listed("names", "flag")
_ROLES = listed("names", "role")
_MODELS = listed("names", "model")
_TOOLS = listed("names", "tool")
# What a cycle may have done, by what it is called.
_DEEDS = listed("names", "deed")


@dataclass(frozen=True)
class Vocabulary:
    """The names there are: those of the contract, the policies and the configuration. `home` is the environment of
    this configuration, which is meant where none is named.
    """

    home: str = "production"
    signals: Sequence[str] = tuple(_SIGNALS)
    gates: Sequence[str] = ("ndcg_at_10", "latency_p95_ms", "cost_per_1k_requests", "user_satisfaction")
    flags: Sequence[str] = tuple(_FLAGS)
    models: Sequence[str] = ("reranker",)
    tools: Sequence[str] = tuple(_TOOLS)
    roles: Sequence[str] = tuple(_ROLES)

    @cached_property
    def phrases(self) -> Mapping[str, tuple[tuple[tuple[str, ...], str], ...]]:
        """Phrases by sort of thing, the longest first, each with the name it stands for."""
        return {
            "environment": _compiled(ENVIRONMENTS, tuple(ENVIRONMENTS)),
            "signal": _compiled(_SIGNALS, self.signals),
            "gate": _compiled(_GATES, self.gates),
            "flag": _compiled(_FLAGS, self.flags),
            "role": _compiled(_ROLES, self.roles),
            "model": _compiled(_MODELS, self.models),
            "tool": _compiled(_TOOLS, self.tools),
            "deed": _compiled(_DEEDS, tuple(_DEEDS)),
        }

    @cached_property
    def stems(self) -> frozenset[str]:
        """Every stem of a name."""
        return frozenset(part for sort in self.phrases.values() for phrase, _ in sort for part in phrase if part != GAP)


@dataclass(frozen=True)
class Named:
    """A name found in a sentence, and the places of the words it was said with."""

    name: str
    places: tuple[int, ...]


def named(said: tuple[Word, ...], sort: str, vocabulary: Vocabulary) -> tuple[Named, ...]:
    """Return the names of a sort in the order they are said; a word belongs to the longest phrase only."""
    found: list[Named] = []
    taken: set[int] = set()
    starts = starts_of(said)
    for phrase, name in vocabulary.phrases[sort]:
        for start in starts.get(phrase[0], ()):
            places = found_at(said, start, phrase)
            if places and not taken & set(places):
                taken |= set(places)
                found.append(Named(name, places))
    return tuple(sorted(found, key=lambda each: each.places))


def only(found: Sequence[Named]) -> str | None:
    """Return the one name that was said; None where there is none, or are several."""
    names = {each.name for each in found}
    return names.pop() if len(names) == 1 else None


def _compiled(texts: Mapping[str, str], allowed: Sequence[str]) -> tuple[tuple[tuple[str, ...], str], ...]:
    found = [
        (tuple(GAP if part == GAP else stem(part) for part in phrase.split()), name)
        for name in allowed
        for phrase in [*texts.get(name, "").split(","), name.replace("_", " "), name]
        if phrase.strip()
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda pair: (-len(pair[0]), pair)))
