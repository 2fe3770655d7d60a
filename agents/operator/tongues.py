"""In which language a sentence is that is not English. Its plain orders and questions are understood by the grammar;
what is not is asked back with a sentence of that language that says so.
"""

from __future__ import annotations

import re

from agents.operator.lexicon import listed, word_set

_CYRILLIC, _POLISH = re.compile(r"[\u0400-\u04ff]{2}"), re.compile(r"[ąćęłńśźż]")


def tongue(said: str) -> str:
    """Return ``polish`` or ``ukrainian`` for a normalised sentence, and nothing for one in any other language."""
    if _CYRILLIC.search(said):
        return "ukrainian"
    known = word_set("polish") & {*re.findall(r"\w+", said)}
    return "polish" if known or _POLISH.search(said) else ""


def excuse(said: str) -> str:
    """Return, in the language of a normalised sentence, that English is understood best; nothing for English."""
    return listed("courtesies", "excuses").get(tongue(said), "")
