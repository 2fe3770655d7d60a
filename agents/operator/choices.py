"""How well a sentence fits the orders that choose: a vote for or against what waits, a flag on or off."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any

from agents.operator.heard import Heard, Mention
from agents.operator.lexicon import word_set
from agents.operator.questions import FITS, NAMES, Candidate
from agents.operator.remarks import apart, told_at
from domain.intent import EVERYWHERE, Kind

_YES, _NO = frozenset({"yes", "yep", "yeah", "yup", "aye", "ok", "okay"}), frozenset({"no", "nope", "nay", "never"})
_POINTING = frozenset({"it", "this", "that", "one", "them", "these", "those"})
_THANKS = frozenset({"please", "thanks", "thank", "you"})


def pick(found: list[str]) -> str | None:
    """Return the one there is."""
    return found[0] if len(found) == 1 else None


def where(heard: Heard) -> str:
    """Return the environment that is named, or the one that is meant where none is."""
    return heard.name("environment") or (EVERYWHERE if heard.has("everywhere") else heard.vocabulary.home)


def pointed(heard: Heard, verb: Collection[int]) -> bool:
    """Whether an order names nothing, but points: *cancel it*. Then it is asked what it points at."""
    rest = {word.text for word in heard.words if word.place not in {*verb, *heard.at("quiet")}}
    return bool(rest & _POINTING) and not rest - _POINTING - _THANKS


def approve(heard: Heard) -> Candidate:
    """*Approve ap_3f2a...*"""
    return _vote(heard, Kind.APPROVE, "approve", "deny")


def deny(heard: Heard) -> Candidate:
    """*Deny ap_3f2a..., wait for Monday.*"""
    return _vote(heard, Kind.DENY, "deny", "approve")


def _vote(heard: Heard, kind: Kind, mine: str, other: str) -> Candidate:
    said = [m for m in heard.mentions.get(mine, ()) if not m.negated]
    bare = _one_word(heard, mine)
    if bare is not None:
        return bare
    polite = {w.place for w in heard.words[:2] if w.text in ("ok", "okay")}
    against = [
        m for m in heard.mentions.get(other, ()) if not m.negated and not (set(m.places) & (heard.at(mine) | polite))
    ]
    turned = any(m.negated for m in heard.mentions.get(mine, ()))
    one = pick(heard.approvals)
    told = bool({word.text for word in heard.words} & word_set("told_vote"))
    said = [m for m in said if not _done(heard, m)]
    told = told or _mine(heard) or bool(heard.places("environment"))
    leant = heard.leaning == mine and one is not None
    if not (said or leant) or (heard.question and not leant) or against or turned or told:
        return Candidate(kind, 0.0)
    clear = bool(heard.ordered(mine)) or bool(heard.approvals)
    slots: dict[str, Any] = {"approval": one}
    missing: tuple[str, ...] = () if one else ("approval",)
    if kind is Kind.DENY:
        why = apart(heard, heard.at(mine) | heard.places_of_ids())
        slots["reason"] = (heard.reason or told_at(heard, why))[:500]
    score = NAMES * clear + NAMES * (one is not None) + FITS * pointed(heard, said[0].places if said else ())
    places = heard.at(mine) | (_against(heard, other) if kind is Kind.DENY else frozenset())
    return Candidate(kind, score, slots, places | _agreeing(heard, kind), missing)


def _agreeing(heard: Heard, kind: Kind) -> frozenset[int]:
    """Return the places of words that say the same once more: *yep, approve it*."""
    words = _YES if kind is Kind.APPROVE else _NO
    return frozenset(word.place for word in heard.words if word.text in words)


def _done(heard: Heard, vote: Mention) -> bool:
    """Whether a vote is told as done: *approved ap_3f2a...*; *ap_3f2a... is approved* gives it."""
    word = heard.words[vote.places[0]]
    first = min((w.place for w in heard.words if w.text in heard.approvals), default=0)
    return word.text.endswith("ed") and word.place < first and "consider" not in {w.text for w in heard.words}


def _mine(heard: Heard) -> bool:
    """*Let me approve it*: whoever says so has not yet."""
    texts = [word.text for word in heard.words]
    return any(pair in (("let", "me"), ("let", "us")) for pair in pairwise(texts))


def _against(heard: Heard, other: str) -> frozenset[int]:
    """Return the places of a *no* that stands alone, and of what is said not to be approved: they agree with a no."""
    said = {m.places[0] for m in heard.mentions.get(other, ()) if m.negated}
    clauses = {heard.words[place].clause for place in said}
    alone = {p for p in heard.nots if sum(word.clause == heard.words[p].clause for word in heard.words) == 1}
    return frozenset(word.place for word in heard.words if word.clause in clauses) | frozenset(alone)


def _one_word(heard: Heard, mine: str) -> Candidate | None:
    """*ap_3f2a...: yes*, and nothing else but thanks."""
    one = pick(heard.approvals)
    rest = [word for word in heard.words if word.text != one and word.text not in _THANKS]
    fits = one and len(rest) == 1 and rest[0].text in (_YES if mine == "approve" else _NO) and not heard.asked
    if not fits:
        return None
    kind = Kind.APPROVE if mine == "approve" else Kind.DENY
    slots = {"approval": one} if kind is Kind.APPROVE else {"approval": one, "reason": heard.reason[:500]}
    return Candidate(kind, 2 * NAMES, slots, frozenset(word.place for word in heard.words))


def flag(heard: Heard) -> Candidate:
    """*Switch auto promote off in production.*"""
    name = heard.name("flag")
    on, off = _switch_words(heard)
    if on == off and heard.leaning in ("on", "off"):
        on, off = heard.leaning == "on", heard.leaning == "off"
    asked = heard.question and heard.leaning not in ("on", "off")
    if name is None or on == off or asked or _told(heard) or _turned_round(heard):
        return Candidate(Kind.FLAG, 0.0)
    slots = {"flag": name, "enabled": on, "environment": where(heard)}
    several = len({each.name for each in heard.names["environment"]}) > 1
    places = (
        heard.places("flag")
        | heard.at("enable", "disable", "flag", "everywhere", "stop", "start")
        | heard.places("environment")
    )
    places |= frozenset(word.place for word in heard.words if word.text in ("true", "false"))
    return Candidate(Kind.FLAG, 2 * NAMES + FITS, slots, places, ("environment",) if several else ())


def _turned_round(heard: Heard) -> bool:
    """Whether a *not*, or a stop to switching, may turn the order into its opposite: *it must not be on*, *stop turning
    it off*, *not in production*. Only *no automatic promotions* is plain.
    """
    plain = {min(heard.places("flag"), default=0) - 1} if _not_flag(heard) else set()
    switching = heard.at("enable", "disable") - heard.at("stop") - heard.places("flag")
    ending = any(heard.words[place].text.endswith("ing") for place in switching)
    return bool(heard.nots - plain - heard.remarks) or (ending and bool(heard.at("stop") - heard.places("flag")))


def _told(heard: Heard) -> bool:
    """Whether it tells how a flag is, was, or is to stay, rather than orders it."""
    texts = {word.text for word in heard.words}
    return bool(texts & word_set("told_flag")) and not texts & {"want", "like", "need"}


def _switch_words(heard: Heard) -> tuple[bool, bool]:
    """Whether the flag is to be on, and whether it is to be off; both or neither is no order."""
    outside = heard.places("flag")

    def verb(concept: str, opposite: bool) -> bool:
        mine = [m for m in heard.mentions.get(concept, ()) if not set(m.places) <= outside]
        return any((m.ordered or len(m.places) > 1 or m.concept == "disable") and m.negated is opposite for m in mine)

    texts = {word.text for word in heard.words if word.place not in outside}
    value_on = bool(texts & {"true"}) or _bare(heard, "on")
    value_off = bool(texts & {"false"}) or _bare(heard, "off")
    on = verb("enable", False) or verb("start", False) or value_on
    off = verb("disable", False) or verb("stop", False) or value_off or _not_flag(heard)
    if off and not value_on and not any(len(m.places) > 1 and not m.negated for m in heard.mentions.get("enable", ())):
        on = False
    turned = any(
        m.negated and m.ordered
        for c in ("enable", "disable", "stop")
        for m in heard.mentions.get(c, ())
        if not set(m.places) <= outside
    )
    return (False, False) if turned else (on, off)


def _bare(heard: Heard, word: str) -> bool:
    """*auto promote off*: the word right behind the flag, or at the end, or after *to*."""
    places = [w.place for w in heard.words if w.text == word]
    behind = {place + 1 for place in heard.places("flag")}
    last = len(heard.words) - 1
    return any(
        p in behind or p == last or heard.words[p - 1].text in ("to", "switched", "turned", "be") for p in places if p
    )


def _not_flag(heard: Heard) -> bool:
    """*no automatic promotions*: the flag itself is what is not to be."""
    first = min(heard.places("flag"), default=0)
    return first > 0 and heard.words[first - 1].text in ("no", "without", "never")
