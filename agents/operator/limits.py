"""What bounds an order, and what no order is read out of: a *not*, a condition, another time, an exception.

An order can hold some bounds (`do_not_promote`, the hours of an override); one that it cannot hold makes it no order,
for it would be carried out without.
"""

from __future__ import annotations

import re

from agents.operator.choices import pick
from agents.operator.doubts import doubtful
from agents.operator.heard import Heard
from agents.operator.lexicon import word_set
from agents.operator.mood import after
from agents.operator.questions import Candidate
from agents.operator.remarks import apart
from agents.operator.words import HAVE
from domain.intent import Kind

# Negated, these are no order that is called off, but a bound that an order is given with.
_BOUNDS = ("promote", "change")
# *Don't let it go live*: what is let is part of the bound.
_LETTING = ("enable", "override", "start")
# So far before a verb its *not* stands, in words.
_REACH = 4
_UNTIL, _COMING = frozenset({"until", "till"}), frozenset({"next", "coming", "following"})
# What may stand before a duration and puts nothing off: *during the next two hours*.
_LASTING = frozenset({"during", *_COMING})
_CLOCK = re.compile(
    r"\b(?:at|by|from|around) (?:\d{1,2}:\d\d|\d{1,2}\s?(?:am|pm|o'clock)\b|noon|midnight)"
    r"|\bin (?:the )?(?:a|an|one|two|three|four|five|six|ten|\d+|half an|next) ?(?:few |couple of )?"
    r"(?:h|hours?|minutes?|mins?|days?|weeks?)\b|\bend of (?:the )?(?:day|week|month|year|business)\b"
)
# The fewest words that ask something.
_FEWEST = 3


# Orders that have no time of their own.
_TIMELESS = (*(Kind.STOP, Kind.START, Kind.CANCEL, Kind.RESUME, Kind.APPROVE, Kind.DENY, Kind.FLAG, Kind.OVERRIDE),)
# Those that hold until somebody says otherwise.
_ENDLESS = (*(Kind.STOP, Kind.START, Kind.CANCEL, Kind.RESUME, Kind.APPROVE, Kind.DENY, Kind.FLAG, Kind.ROLL_BACK),)


def _put_off(heard: Heard, kind: Kind) -> bool:
    """Whether an order is for another time than now, or for a while: none but an override of a gate can be."""
    dated = bool(heard.when[1] - heard.remarks - heard.at("quiet"))
    return _later(heard) or (
        (kind in _TIMELESS and dated) or (kind in _ENDLESS and bool(heard.lasting[1] - heard.remarks))
    )


def _later(heard: Heard) -> bool:
    """Whether it speaks of a time that is to come: an order is for now."""
    spans = {place - step for place in heard.lasting[1] for step in (0, 1, 2, 3)}
    taken = heard.remarks | _behind_bounds(heard)
    for word in heard.words:
        if word.place in taken or (word.place in spans and word.text in _LASTING):
            continue
        coming = word.text in _COMING and after(heard.words, word.place) in word_set("spans")
        until = word.text in _UNTIL and not _open_end(heard, word.place)
        if coming or until or word.text in word_set("later"):
            return True
    return _not_yet(heard) or bool(_CLOCK.search(heard.put))


def _behind_bounds(heard: Heard) -> set[int]:
    """Return the places behind a bound in its clause: *never before the release* is of the bound, not of the order."""
    first: dict[int, int] = {}
    for place in sorted(heard.at("keep_back", "touch_nothing"), reverse=True):
        first[heard.words[place].clause] = place
    ordering = {heard.words[place].clause for place in heard.at("retrain", "investigate")}
    return {
        word.place
        for word in heard.words
        if word.clause in first and (word.place > first[word.clause] or word.clause not in ordering)
    }


def _not_yet(heard: Heard) -> bool:
    """*Stop it, but not yet*: a clause that says nothing else."""
    clauses: dict[int, set[str]] = {}
    for word in heard.words:
        clauses.setdefault(word.clause, set()).add(word.text)
    return any(
        "not" in said and said <= {"but", "not", "yet", "now", "just", "so", "fast"} for said in clauses.values()
    )


def _open_end(heard: Heard, place: int) -> bool:
    """*Until I tell you*, *until further notice*: until somebody says so, as every stop."""
    return after(heard.words, place) in ("i", "we", "further", "told", "you", "someone", "somebody")


def _excepted(heard: Heard, order: Candidate) -> bool:
    """Whether it makes an exception or leaves a choice that the order does not hold: *but*, *only*, *or*."""
    held = order.slots.get("do_not_promote") or order.slots.get("only_diagnose")
    if order.kind is Kind.OPEN and held:
        more = heard.at(*_BOUNDS, "keep_back", "touch_nothing")
        return any(word.text == "or" and word.place + 1 not in more for word in heard.words)
    fits = heard.places("environment") | heard.lasting[1] | heard.at("quiet")
    beside_place = {place + step for place in fits for step in (-1, 1)}
    first = min(order.places, default=0)
    for word in heard.words:
        if word.place in heard.remarks or word.place in order.places or word.text not in word_set("exceptions"):
            continue
        if word.text == "just" and (word.place < first or order.kind is not Kind.OPEN):
            continue
        if word.text in ("only", "just") and word.place in beside_place:
            continue
        return True
    return False


def given(heard: Heard, order: Candidate) -> bool:
    """Whether an order that was read is one to be carried out now, as it was read."""
    doubted = "?" in heard.put.rstrip(" ?!.") and not (heard.polite or heard.courteous)
    unsure = doubted or _hedged(heard) or _for_a_look(heard, order)
    return not (unsure or _put_off(heard, order.kind) or _excepted(heard, order) or doubtful(heard, order))


def _for_a_look(heard: Heard, order: Candidate) -> bool:
    """Whether a training without a bound is to be for something: *so that I can look at it*; that may be its bound."""
    if order.slots.get("action") != "retrain" or order.slots.get("do_not_promote"):
        return False
    verb = {place for said in heard.ordered("retrain") for place in said.places}
    return any(word.text in word_set("purposes") and word.place not in verb for word in heard.words)


def _hedged(heard: Heard) -> bool:
    """Whether it says what may be wished: *perhaps*, *we may have to*; *could you* and *I would like* do not."""
    for word in heard.words:
        following = after(heard.words, word.place)
        if word.text == "may" and following == "have":
            return True
        if word.text not in word_set("hedges") or word.place in heard.remarks:
            continue
        if not (following in ("like", "love", "prefer") or (following == "you" and heard.polite)):
            return True
    return False


def called_off(heard: Heard) -> tuple[str, ...]:
    """Return the orders that the sentence says not to carry out, but for what bounds another."""
    concepts = ("stop", "start", "rollback", "cancel", "resume", "approve", "deny", "retrain", "enable", "override")
    spans = (m for concept in ("keep_back", "touch_nothing") for m in heard.mentions.get(concept, ()))
    within = {place for m in spans for place in range(min(m.places), max(m.places) + 1)}
    bounded = heard.at(*_BOUNDS, "keep_back", "touch_nothing", "policy") | heard.places("flag")
    found = [
        c
        for c in concepts
        for m in heard.mentions.get(c, ())
        if m.negated
        and not set(m.places) & (bounded | within if c in _LETTING else bounded)
        and not _told_not(heard, m.places[0])
    ]
    # *Don't approve it, reject it*: the one is the other.
    meant = {other for one, other in (("deny", "approve"), ("approve", "deny")) if heard.ordered(one)}
    return tuple(each for each in dict.fromkeys(found) if each not in meant)


def _told_not(heard: Heard, place: int) -> bool:
    """Whether the *not* before a place says how something is, as in *which have not ended*, and forbids nothing."""
    for word in reversed(heard.words[max(1, place - _REACH) : place + 1]):
        if word.text in ("not", "never"):
            before = heard.words[word.place - 1]
            described = after(heard.words, word.place) not in ("to", "be")
            return before.stem in ("be", HAVE) and before.place > 0 and described
    return False


def without_called_off(heard: Heard) -> str:
    """Return the clauses of a sentence that say nothing about what is not to be done, *it* being the one cycle that is
    named; nothing where there are none.
    """
    away = {heard.words[place].clause for place in heard.nots}
    rest = [word.text for word in heard.words if word.clause not in away]
    one = pick(heard.cycles)
    if one is not None and one not in rest:
        rest = [one if text in ("it", "that", "this") else text for text in rest]
    return " ".join(rest) if len(rest) >= _FEWEST else ""


def bounded(order: Candidate) -> bool:
    """Whether an order has a bound that a *not* of the sentence is accounted for by."""
    slots = order.slots
    return bool(slots.get("do_not_promote") or slots.get("only_diagnose") or order.kind is Kind.FLAG)


def beside(heard: Heard, order: Candidate) -> frozenset[int]:
    """Return the places of remarks beside an order, which it need not account for. An order to work on something that
    has no bound yet lets none pass: the remark may be one in other words. A denial is told why in whatever words.
    """
    if order.kind is Kind.DENY:
        return apart(heard, order.places | heard.places_of_ids())
    held = order.slots.get("do_not_promote") or order.slots.get("only_diagnose")
    return heard.remarks if order.kind is not Kind.OPEN or held else frozenset()
