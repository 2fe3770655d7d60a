"""What a user does with a page of results: looks from the top, clicks, finds or gives up, and says how it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from testbed.population import Intent

__all__ = ["ClickOutcome", "clicks"]

_LOOK_DECAY = 0.25
_RELEVANT, _OTHER = 0.95, 0.06
# The same where titles do not say what a result is: nothing guides the choice, and looking costs effort.
_UNTOLD, _UNTOLD_OTHER, _EFFORT = 0.6, 0.12, 0.9
_SECOND_LOOK = 0.3
_FIRST_RATING, _LOST_PER_RANK, _NOT_FOUND = 5.0, 0.12, 3.0


@dataclass(frozen=True, slots=True)
class ClickOutcome:
    """``clicked`` in order; ``satisfied`` is the document that answered, if any; ``judged`` is the one the user ended
    up with, found here or otherwise; ``thumb`` is 1, -1 or None; ``rating`` 1 to 5.
    """

    clicked: list[str]
    satisfied: str | None
    judged: str
    thumb: int | None
    rating: int


def clicks(intent: Intent, shown_ids: Sequence[str], rng: np.random.Generator, *, legible: bool = True) -> ClickOutcome:
    """The position-based model (Craswell et al. 2008) for known-item seekers: attention falls with the rank, a click
    depends on attention and relevance, and what answers ends the session. On a page that is not `legible` users cannot
    tell what a result is before they have opened it.
    """
    relevant_click, other_click = (_RELEVANT, _OTHER) if legible else (_UNTOLD, _UNTOLD_OTHER)
    clicked: list[str] = []
    satisfied: str | None = None
    rank = 0
    for rank, shown in enumerate(shown_ids, start=1):
        looks = rng.random() < rank**-_LOOK_DECAY
        if not looks:
            continue
        relevant = shown in intent.relevant
        if rng.random() < (relevant_click if relevant else other_click):
            clicked.append(shown)
            if relevant:
                satisfied = shown
                if rng.random() >= _SECOND_LOOK or len(intent.relevant) == 1:
                    break
    mood = _FIRST_RATING - _LOST_PER_RANK * (rank - 1) if satisfied else _NOT_FOUND
    mood -= 0.0 if legible else _EFFORT
    rating = int(np.clip(round(mood + rng.normal(0.0, 0.45)), 1, 5))
    thumb = None
    if rng.random() < 0.25:
        thumb = 1 if rating >= 4 else -1
    return ClickOutcome(clicked, satisfied, satisfied or intent.target, thumb, rating)
