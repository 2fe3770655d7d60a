"""Two readers of one sentence: the grammar, and what the sentence is most like (`likeness`).

Where the grammar is not sure of a question, it is read as what it is clearly most like. An order needs both: the
grammar, which knows names and what a *not* reaches, and no likeness to something else. Where the grammar lacks only the
verb, a likeness that is far ahead stands in for it; its slots, its bounds and what holds it back stay the grammar's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agents.operator.bounds import promoted
from agents.operator.heard import Heard
from agents.operator.lexicon import word_set
from agents.operator.likeness import Likeness
from agents.operator.limits import beside, called_off, given
from agents.operator.orders import ORDERS, is_identity
from agents.operator.questions import QUESTIONS, Candidate
from agents.operator.reading import Reading, reading_of
from agents.operator.tongues import tongue
from domain.intent import WRITES, Intent, Kind, OpenCycle, SetFlag, is_write, kind_of

# How far the best kind has to be ahead of the next: to read a question where the grammar asks back; to read another
# than the grammar does; to doubt an order; to stand in for its verb.
QUESTION, OTHER, DOUBT, ORDER = 0.1, 0.35, 0.1, 0.45
LONGEST, FAMILIAR = 60, 0.5
"""A sentence of more words, or with a smaller share of words that some example has, is like none of them."""
# And how far a tag has to be ahead of the others of its kind.
TAG = 0.3
# How many words a bounded order may leave whose verb was not known; any other none.
_LEFT = 2
_VERBS: Mapping[Kind, str] = {
    **{kind: kind.value for kind in (Kind.STOP, Kind.START, Kind.CANCEL, Kind.RESUME, Kind.APPROVE, Kind.DENY)},
    Kind.ROLL_BACK: "rollback",
    Kind.OVERRIDE: "override",
}
_HELD, _LOOK = "held", "look"


def agreed(heard: Heard, like: Likeness, grammar: Reading) -> Reading:
    """Return what a sentence means, given what the grammar made of it and what it is most like."""
    if grammar.final or grammar.missing or len(heard.words) > LONGEST:
        return grammar
    intent = grammar.intent
    if like.familiar < FAMILIAR or tongue(heard.said):
        strange = intent is not None and is_write(intent) and _left_over(heard, ORDERS[kind_of(intent)](heard))
        return _asked_back(grammar, intent) if intent is not None and strange else grammar
    if intent is None:
        return _instead(heard, like, grammar)
    if is_write(intent):
        return _asked_back(grammar, intent) if _doubted(intent, like) else grammar
    if kind_of(intent) is like.kind or like.kind is None or like.ahead < OTHER:
        return grammar
    if like.kind in WRITES:
        return _asked_back(grammar, intent)
    return _question(heard, like.kind) or grammar


def _doubted(intent: Intent, like: Likeness) -> bool:
    """Whether an order is more like something else: another kind, or the same with a bound that was missed."""
    if kind_of(intent) is not like.kind:
        return like.ahead >= DOUBT
    if isinstance(intent, OpenCycle):
        loose = intent.action == "retrain" and not intent.do_not_promote
        return loose and (like.tag == _HELD or (like.tag == _LOOK and like.tag_ahead >= TAG))
    return isinstance(intent, SetFlag) and like.tag in ("on", "off") and (like.tag == "on") is not intent.enabled


def _asked_back(grammar: Reading, intent: Intent) -> Reading:
    return replace(grammar, intent=None, options=(intent,), why="it can be read in two ways")


def _instead(heard: Heard, like: Likeness, grammar: Reading) -> Reading:
    """Return what a sentence is most like, where the grammar asks back; `grammar`, where that is not clear enough."""
    if like.kind is None or like.ahead < QUESTION or (heard.reported and not heard.asked):
        return grammar
    if like.kind not in WRITES:
        return grammar if grammar.wanted else _question(heard, like.kind) or grammar
    if like.kind is Kind.OPEN and like.tag in (_HELD, _LOOK):
        narrow = _narrowed(heard, like)
        if narrow is not None:
            return reading_of(narrow)
    if grammar.wanted is not None:
        # The grammar knew the verb, and was not satisfied with the rest.
        return grammar
    order = _order(heard, like, like.kind)
    return grammar if order is None or (order.missing and grammar.options) else reading_of(order)


def _question(heard: Heard, kind: Kind) -> Reading | None:
    """Return the question of a kind, with the slots that the grammar finds; None where it lacks one."""
    found = reading_of(QUESTIONS[kind](heard))
    return found if found.clear else None


def _no_order(heard: Heard) -> bool:
    """Whether it asks, supposes, tells, or says not to: then no likeness makes an order of it."""
    told = {word.text for word in heard.words} & word_set("told")
    past = any(word.text.endswith("ed") and word.stem in word_set("deed_verbs") for word in heard.words)
    asks = heard.asked or heard.question or heard.conditional or heard.reported
    return asks or bool(told) or past or bool(called_off(heard))


def _narrowed(heard: Heard, like: Likeness) -> Candidate | None:
    """Return a training, or a look, bound as narrowly as can be, where it is put like one that has a bound and the
    grammar did not understand which; None where it was not ordered, where it is to be promoted, or where words stand
    before it that nobody understood: they may tell of it.
    """
    if like.ahead < OTHER or like.tag_ahead < TAG or _no_order(heard) or promoted(heard):
        return None
    narrow = heard.narrowed()
    order = ORDERS[Kind.OPEN](narrow)
    looks = bool(order.slots.get("only_diagnose"))
    if order.score <= 0 or order.missing or looks is not (like.tag == _LOOK) or not given(narrow, order):
        return None
    known = order.places | beside(heard, order)
    first = min(heard.at("retrain", "investigate"), default=0)
    before = heard.unexplained({*known, *range(first, len(heard.words))})
    return order if not before and len(heard.unexplained(known)) <= _LEFT else None


def _order(heard: Heard, like: Likeness, kind: Kind) -> Candidate | None:
    """Return the order that a sentence is like, where nothing speaks against it."""
    if like.ahead < ORDER or _no_order(heard):
        return None
    if kind in (Kind.FLAG, Kind.OPEN) and like.tag_ahead < TAG:
        return None
    verb = like.tag if kind is Kind.FLAG else _VERBS.get(kind, "investigate" if like.tag == _LOOK else "retrain")
    leaning = heard.leaning_to(verb)
    order = ORDERS[kind](leaning)
    stands = kind not in (Kind.APPROVE, Kind.DENY) and {"is", "are"} & {word.text for word in heard.words}
    if order.score <= 0 or stands or not given(leaning, order):
        return None
    held = bool(order.slots.get("do_not_promote") or order.slots.get("only_diagnose"))
    if kind is Kind.OPEN and not held:
        return None
    loose = heard.nots - order.places - beside(heard, order)
    if len(_left_over(heard, order)) > (_LEFT if held else 0) or (loose and not held and kind is not Kind.FLAG):
        return None
    return order


def _left_over(heard: Heard, order: Candidate) -> tuple[str, ...]:
    """Return the words that an order does not account for."""
    named = {word.place for word in heard.words if is_identity(word.text)}
    return heard.unexplained(order.places | beside(heard, order) | named)
