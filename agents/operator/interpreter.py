"""The interpreter: a sentence becomes an intent, or a question back. Deterministic, without a key or a network.

Every reading is scored (`questions`, `orders`). The best one counts when it is good enough and clearly ahead of the
next; else the two best are shown and the operator says which. An order has to be better still, has to account for
nearly every word, and is never read out of a question, a condition or a negation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from agents.operator.agreement import LONGEST, agreed
from agents.operator.doubts import taken_back
from agents.operator.heard import Heard
from agents.operator.likeness import likeness
from agents.operator.limits import beside, bounded, called_off, without_called_off
from agents.operator.names import Vocabulary
from agents.operator.orders import ORDERS, is_identity, orders
from agents.operator.questions import NAMES, Candidate, questions
from agents.operator.reading import Reading, between, reading_of
from agents.operator.words import MOST_CHARACTERS, too_long
from domain.intent import Kind, is_write

ENOUGH = 1.9
ENOUGH_ORDER = 3.0
MARGIN = 0.5
# What a word costs a reading that does not account for it, and how many an order may leave.
UNEXPLAINED = 0.15
UNEXPLAINED_ORDER = 0.6
MOST_UNEXPLAINED, MOST_OF_A_BOUND, MOST_OF_A_DENIAL = 0, 2, 3
_SAID = {"rollback": "roll back", "enable": "switch it on"}
# What a question gains by accounting for every word.
WHOLE = 0.4


class Interpreter:
    """Reads sentences with a vocabulary."""

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary or Vocabulary()

    def read(self, text: str, now: datetime) -> Reading:
        """Return what a sentence means, as seen at `now`."""
        if too_long(text):
            return Reading(None, final=True, why=f"it is too long: say it in {MOST_CHARACTERS} characters at most")
        heard = Heard(text, self.vocabulary, now)
        if not heard.words:
            return Reading(None, why="there are no words in it")
        found = agreed(heard, likeness(text, self.vocabulary), self.by_grammar(heard, now))
        if len(heard.words) > LONGEST and found.intent is not None and is_write(found.intent):
            return Reading(None, final=True, why=f"it is too long for an order: say it in {LONGEST} words at most")
        return found

    def by_grammar(self, heard: Heard, now: datetime) -> Reading:
        """Return what the grammar alone makes of a sentence."""
        asked = [_weighed(heard, candidate, UNEXPLAINED) for candidate in questions(heard)]
        ordered = [_weighed(heard, _besides(heard, each), UNEXPLAINED_ORDER) for each in orders(heard)]
        off = called_off(heard)
        best_order = max(ordered, key=lambda each: each.score, default=None)
        if off and not heard.question:
            other = self._else_asked(heard, now)
            if other is not None:
                return other
            return Reading(None, final=True, why=f"it says not to {_SAID.get(off[0], off[0])}")
        if best_order is not None and best_order.score >= ENOUGH_ORDER - 0.5 * bool(best_order.missing):
            return self._order(heard, best_order, ordered, asked)
        tried = [each for each in (one(heard) for one in ORDERS.values()) if each.score >= ENOUGH_ORDER - MARGIN]
        if tried and not (heard.question or heard.conditional or heard.reported):
            first = max(asked, key=lambda each: each.score)
            if taken_back(heard.said, tried[0].kind):
                return Reading(None, final=True, wanted=tried[0].kind, why="it takes back what it says")
            near = [tried[0], *([first] if first.score >= ENOUGH else [])]
            asked_back = between(near, "it sounds like an order, and not all of it was understood")
            return replace(asked_back, wanted=tried[0].kind, missing=tried[0].missing)
        return self._question(asked, best_order)

    def _else_asked(self, heard: Heard, now: datetime) -> Reading | None:
        """*Don't cancel it, I only want to see it*: what a sentence asks beside what it says not to do, if it is clear.
        Only a question is read so.
        """
        rest = without_called_off(heard)
        if not rest:
            return None
        other = Heard(rest, self.vocabulary, now)
        if called_off(other) or other.nots:
            return None
        found = self._question([_weighed(other, each, UNEXPLAINED) for each in questions(other)], None)
        return found if found.clear else None

    def _order(
        self, heard: Heard, best: Candidate, ordered: Sequence[Candidate], asked: Sequence[Candidate]
    ) -> Reading:
        rivals = [each for each in ordered if each is not best and each.score >= ENOUGH_ORDER - MARGIN]
        close = [each for each in rivals if best.score - each.score < MARGIN or _separate(each, best)]
        if close:
            return replace(between([best, *close], "more than one order can be read in it"), wanted=best.kind)
        better = max(asked, key=lambda each: each.score)
        if heard.question and better.score >= ENOUGH:
            return self._question(asked, None)
        left = heard.unexplained(best.places | _identities(heard))
        if len(left) > _most(heard, best):
            return Reading(None, wanted=best.kind, why=f"these words were not understood: {', '.join(left[:5])}")
        loose = heard.nots - best.places
        if loose and not bounded(best):
            return Reading(
                None, final=True, wanted=best.kind, why="it says not to do something, and it is not clear what"
            )
        return reading_of(best)

    @staticmethod
    def _question(asked: Sequence[Candidate], order: Candidate | None) -> Reading:
        ranked = sorted(asked, key=lambda each: -each.score)
        best, second = ranked[0], ranked[1]
        if best.score < ENOUGH:
            near = [each for each in (*ranked[:2], *([order] if order else [])) if each.score >= 1.0]
            return between(near[:2], "")
        if best.score - second.score < MARGIN:
            return between([best, second], "it can be read in two ways")
        return reading_of(best)


def _weighed(heard: Heard, candidate: Candidate, price: float) -> Candidate:
    if candidate.score <= 0:
        return candidate
    left = heard.unexplained(candidate.places | _identities(heard))
    slots = {name: value for name, value in candidate.slots.items() if value is not None}
    guessed = sum(word.guessed for word in heard.words if word.place in candidate.places)
    whole = WHOLE if not left and candidate.score >= NAMES and price == UNEXPLAINED else 0.0
    score = candidate.score + whole - price * len(left) - 0.1 * guessed
    return Candidate(candidate.kind, score, slots, candidate.places, candidate.missing)


def _besides(heard: Heard, order: Candidate) -> Candidate:
    return replace(order, places=order.places | beside(heard, order))


def _most(heard: Heard, order: Candidate) -> int:
    """Return how many words an order may leave that nobody understood; a denial is told why in whatever words, and
    what stands behind a colon, as in *the plan: retrain it*, may be told.
    """
    if order.kind is Kind.DENY:
        return MOST_OF_A_DENIAL
    if order.kind is Kind.OPEN and bounded(order) and ":" not in heard.put:
        return MOST_OF_A_BOUND
    return MOST_UNEXPLAINED


def _identities(heard: Heard) -> frozenset[int]:
    return frozenset(word.place for word in heard.words if is_identity(word.text))


def _separate(one: Candidate, other: Candidate) -> bool:
    """Whether two orders rest on words of their own: then the sentence gives both."""
    return len(one.places - other.places) > 1 and len(other.places - one.places) > 1
