"""What words mean: phrases by concept, read from `prompts/operator_words`.

A phrase is its words, whatever their inflection; ``~`` stands for up to three words in between (*turn it off*). Names
of Evercrew's own things (signals, flags, models, roles) are in `agents.operator.names`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from agents.operator.words import Word, stem
from prompts.library import source

GAP = "~"
MOST_BETWEEN = 3
# A stem of so many letters may be that of another word.
SHORT = 3


@cache
def _words(name: str) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load(source(f"operator_words/{name}.yaml"))
    return loaded


def listed(name: str, part: str) -> Mapping[str, str]:
    """Return a part of a file of words: phrases, parted by commas, by what they stand for."""
    return dict(_words(name)[part])


def listed_lines(name: str, part: str) -> tuple[str, ...]:
    """Return a part of a file of words that is a list of lines."""
    return tuple(str(line) for line in _words(name)[part])


@cache
def word_set(part: str) -> frozenset[str]:
    """Return one of the sets of words."""
    return frozenset(str(_words("sets")[part]).split())


CONCEPTS: Mapping[str, str] = {
    concept: text for part in ("asking", "doing", "things") for concept, text in listed("concepts", part).items()
}
DOING = frozenset(listed("concepts", "doing"))
NOT, FILLER, COMMON = word_set("not"), word_set("filler"), word_set("common")


# Words that decide whether there is an order at all: a slip of the fingers makes none of them something else.
DECIDING = frozenset().union(
    *(word_set(part) for part in ("conditions", "reported", "binding", "later", "exceptions", "told_vote", "told_flag"))
)


@cache
def phrases() -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return every phrase as stems with its concept, the longest first."""
    found = [
        (tuple(GAP if part == GAP else stem(part) for part in phrase.split()), concept)
        for concept, text in CONCEPTS.items()
        for phrase in map(str.strip, text.split(","))
        if phrase
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda pair: (-len(pair[0]), pair)))


@cache
def known_stems() -> frozenset[str]:
    """Return every stem that stands in a phrase."""
    return frozenset(part for phrase, _ in phrases() for part in phrase if part != GAP)


def negates(word: Word) -> bool:
    """Whether a word negates; *note* is none, though its stem is."""
    return word.text in NOT or (word.stem in NOT and len(word.stem) > SHORT)


def starts_of(said: Sequence[Word]) -> Mapping[str, list[int]]:
    """Return where each stem stands: where a phrase that begins with it can."""
    starts: dict[str, list[int]] = {}
    for word in said:
        starts.setdefault(word.stem, []).append(word.place)
    return starts


def found_at(said: tuple[Word, ...], start: int, phrase: tuple[str, ...]) -> tuple[int, ...]:
    """Return the places of the words of a phrase that begins at `start`; nothing where it does not stand there.

    What stands between its words is no *not*: *do not retrain* is no way to say *do a retraining*.
    """
    places: list[int] = []
    at = start
    gap = False
    for part in phrase:
        if part == GAP:
            gap = True
            continue
        reach = range(at, min(at + (MOST_BETWEEN + 1 if gap else 1), len(said)))
        here = next((place for place in reach if said[place].stem == part), None)
        if here is None or said[here].clause != said[start].clause or any(map(negates, said[at:here])):
            return ()
        places.append(here)
        at, gap = here + 1, False
    return tuple(places)
