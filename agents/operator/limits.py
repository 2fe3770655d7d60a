"""What bounds an order, and what no order is read out of: a *not*, a condition, another time, an exception.

An order can hold some bounds (`do_not_promote`, the hours of an override); one that it cannot hold makes it no order,
for it would be carried out without.
"""

from __future__ import annotations

from agents.operator.bounds import REMEDIES, left_alone, unheld
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
# The fewest words that ask something.
_FEWEST = 3


def _excepted(heard: Heard, order: Candidate) -> bool:
    """Whether it makes an exception or leaves a choice that the order does not hold: *but*, *only*, *or*."""
    held = order.slots.get("do_not_promote") or order.slots.get("only_diagnose")
    if order.kind is Kind.OPEN and held:
        more = heard.at(*_BOUNDS, "keep_back", "touch_nothing")
        # *Do not promote or deploy it* leaves no choice; *retrain it or leave it* does.
        first = min(more, default=len(heard.words))
        return any(word.text == "or" and not (first < word.place and word.place + 1 in more) for word in heard.words)
    fits = heard.places("environment") | heard.lasting[1] | heard.at("quiet")
    beside_place = {place + step for place in fits for step in (-1, 1)}
    # *Only on the new subjects*: that is what such a training is aimed at.
    aimed = {place + step for place in heard.at("new_subjects") for step in (-3, -2, -1, 1)}
    first = min(order.places, default=0)
    for word in heard.words:
        if word.place in heard.remarks or word.place in order.places or word.text not in word_set("exceptions"):
            continue
        if word.text == "just" and (word.place < first or order.kind is not Kind.OPEN):
            continue
        if word.text in ("only", "just") and word.place in beside_place | aimed:
            continue
        return True
    return False


def given(heard: Heard, order: Candidate) -> bool:
    """Whether an order that was read is one to be carried out now, as it was read."""
    doubted = "?" in heard.put.rstrip(" ?!.") and not (heard.polite or heard.courteous)
    unsure = doubted or _hedged(heard) or _for_a_look(heard, order)
    unsure = unsure or (order.slots.get("action") == "retrain" and unheld(heard, order.places))
    return not (unsure or _excepted(heard, order) or doubtful(heard, order))


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
    # *Look into it, don't retrain* bounds the look.
    meant |= {*REMEDIES} if left_alone(heard) else set()
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
