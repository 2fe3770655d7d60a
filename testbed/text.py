"""Words: one tokenizer for documents, queries and learnt tables, so that a word is the same word everywhere."""

from __future__ import annotations

import re

__all__ = ["STOP_WORDS", "normalise_query", "tokens"]

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d{2,}")
_SPACE = re.compile(r"\s+")

_STOP = """
a about above after again all also am an and any are as at be because been before being below between both but by
can could did do does doing down during each etc few for from further had has have having he her here his how i if
in into is it its itself just me more most my no nor not now of off on once only or other our out over own same she
should so some such than that the their them then there these they this those through to too under until up very was
we were what when where which while who whom why will with would you your ll re ve don none self
"""

STOP_WORDS = frozenset(_STOP.split())


def tokens(text: str) -> list[str]:
    """Lower-cased content words in order, with snake_case and CamelCase taken apart and plain plurals cut.

    Single characters and stop words are left out.
    """
    found = []
    for raw in _WORD.findall(text):
        word = raw.lower()
        if len(word) > 1 and word not in STOP_WORDS:
            found.append(_singular(word))
    return found


def normalise_query(query: str) -> str:
    """The query as users would call it the same: lower case, single spaces, no space at the ends."""
    return _SPACE.sub(" ", query).strip().lower()


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
