"""How retrieval cuts text into words."""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z0-9]+", re.ASCII)
_COMMON = "a an and are as at be by for from has in is it of on or that the this to was were with"
_EMPTY = frozenset(_COMMON.split(" "))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without the commonest ones; ``ndcg_at_10`` gives its parts."""
    return [word for word in _WORD.findall(text.lower()) if word not in _EMPTY]
