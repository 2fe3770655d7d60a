"""The interpreter: a sentence becomes an intent, or a question back. Deterministic, without a key or a network.

Every reading is scored (`questions`, `orders`). The best one counts when it is good enough and clearly ahead of the
next; else the two best are shown and the operator says which. An order has to be better still, has to account for
nearly every word, and is never read out of a question, a condition or a negation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.operator.heard import Heard
from agents.operator.names import Vocabulary
from agents.operator.orders import bounded, called_off, is_identity, orders
from agents.operator.questions import NAMES, Candidate, questions
from domain.errors import InvalidInput
from domain.intent import Intent, Kind, intent_of, is_write, kind_of

ENOUGH = 1.9
ENOUGH_ORDER = 3.0
MARGIN = 0.5
# What a word costs a reading that does not account for it, and how many an order may leave.
UNEXPLAINED = 0.15
UNEXPLAINED_ORDER = 0.6
MOST_UNEXPLAINED = 1
# What a question gains by accounting for every word.
WHOLE = 0.4


@dataclass(frozen=True)
class Reading:
    """What was understood.

    `intent` is None where it has to be asked back: then `missing` names the slots of `wanted` that were not said, or
    `options` are the readings that were too close to choose between; `why` says it in a sentence. What is `final` is
    not for a model to read otherwise: it says not to do something.
    """

    intent: Intent | None
    score: float = 0.0
    options: tuple[Intent, ...] = ()
    wanted: Kind | None = None
    missing: tuple[str, ...] = ()
    why: str = ""
    final: bool = False

    @property
    def clear(self) -> bool:
        """Whether there is one reading."""
        return self.intent is not None


class Interpreter:
    """Reads sentences with a vocabulary."""

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary or Vocabulary()

    def read(self, text: str, now: datetime) -> Reading:
        """Return what a sentence means, as seen at `now`."""
        heard = Heard(text, self.vocabulary, now)
        if not heard.words:
            return Reading(None, why="there are no words in it")
        asked = [_weighed(heard, candidate, UNEXPLAINED) for candidate in questions(heard)]
        ordered = [_weighed(heard, candidate, UNEXPLAINED_ORDER) for candidate in orders(heard) if candidate.score > 0]
        off = called_off(heard)
        best_order = max(ordered, key=lambda each: each.score, default=None)
        if off and not heard.question:
            return Reading(None, final=True, why=f"it says not to {off[0]}")
        if best_order is not None and best_order.score >= ENOUGH_ORDER - 0.5 * bool(best_order.missing):
            return self._order(heard, best_order, ordered, asked)
        return self._question(asked, best_order)

    def _order(
        self, heard: Heard, best: Candidate, ordered: Sequence[Candidate], asked: Sequence[Candidate]
    ) -> Reading:
        rivals = [each for each in ordered if each is not best and each.score >= ENOUGH_ORDER - MARGIN]
        close = [each for each in rivals if best.score - each.score < MARGIN or _separate(each, best)]
        if close:
            return _between([best, *close], "more than one order can be read in it")
        better = max(asked, key=lambda each: each.score)
        if heard.question and better.score >= ENOUGH:
            return self._question(asked, None)
        left = heard.unexplained(best.places | _identities(heard))
        if len(left) > (MOST_UNEXPLAINED if _placed(heard, best) else 0):
            return Reading(None, wanted=best.kind, why=f"these words were not understood: {', '.join(left[:5])}")
        loose = heard.nots - best.places
        if loose and not bounded(best):
            return Reading(
                None, final=True, wanted=best.kind, why="it says not to do something, and it is not clear what"
            )
        if best.missing:
            said = ", ".join(best.missing)
            return Reading(None, wanted=best.kind, missing=best.missing, why=f"it does not say which {said}")
        return _reading(best)

    @staticmethod
    def _question(asked: Sequence[Candidate], order: Candidate | None) -> Reading:
        ranked = sorted(asked, key=lambda each: -each.score)
        best, second = ranked[0], ranked[1]
        if best.score < ENOUGH:
            near = [each for each in (*ranked[:2], *([order] if order else [])) if each.score >= 1.0]
            return _between(near[:2], "it was not understood well enough")
        if best.score - second.score < MARGIN:
            return _between([best, second], "it can be read in two ways")
        return _reading(best)


def _weighed(heard: Heard, candidate: Candidate, price: float) -> Candidate:
    if candidate.score <= 0:
        return candidate
    left = heard.unexplained(candidate.places | _identities(heard))
    slots = {name: value for name, value in candidate.slots.items() if value is not None}
    guessed = sum(word.guessed for word in heard.words if word.place in candidate.places)
    whole = WHOLE if not left and candidate.score >= NAMES and price == UNEXPLAINED else 0.0
    score = candidate.score + whole - price * len(left) - 0.1 * guessed
    return Candidate(candidate.kind, score, slots, candidate.places, candidate.missing)


def _identities(heard: Heard) -> frozenset[int]:
    return frozenset(word.place for word in heard.words if is_identity(word.text))


def _placed(heard: Heard, order: Candidate) -> bool:
    """Whether an order says where, or needs not to: a word that nobody understood may have been the place."""
    return "environment" not in order.slots or bool(heard.places("environment"))


def _separate(one: Candidate, other: Candidate) -> bool:
    """Whether two orders rest on words of their own: then the sentence gives both."""
    return len(one.places - other.places) > 1 and len(other.places - one.places) > 1


def _reading(best: Candidate) -> Reading:
    try:
        intent = intent_of({"kind": best.kind.value, **best.slots})
    except InvalidInput as problem:
        return Reading(None, wanted=best.kind, missing=(problem.field,), why=str(problem))
    return Reading(intent, best.score)


def _between(candidates: Sequence[Candidate], why: str) -> Reading:
    options = [reading.intent for reading in map(_reading, candidates) if reading.intent is not None]
    return Reading(None, options=tuple(dict.fromkeys(options)), why=why)


def wrong_write(read: Intent | None, wanted: Kind) -> bool:
    """Whether an order was read that nobody gave."""
    return read is not None and is_write(read) and kind_of(read) is not wanted
