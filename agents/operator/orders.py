"""How well a sentence fits each order. An order is read strictly: its verb is one, stands where an order's verb stands,
is not negated and not conditional, and hardly a word is left that nothing accounts for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from agents.operator.heard import Heard, Mention
from agents.operator.questions import FITS, GOES, NAMES, Candidate
from domain.intent import EVERYWHERE, Kind

_REVISION = r"(?=[0-9a-f]*\d)[0-9a-f]{7,40}"
_GOLD = r"gold/\d{4}-\d{2}-\d{2}-\d{1,4}"
# Negated, these are no order that is called off, but a bound that an order is given with.
_BOUNDS = ("promote", "change")


def _verb(heard: Heard, *concepts: str) -> Mention | None:
    """Return the verb of the order: the longest way it was said."""
    found = [m for concept in concepts for m in heard.ordered(concept)]
    return max(found, key=lambda m: (len(m.places), -m.places[0]), default=None)


def _places(*verbs: Mention | None) -> frozenset[int]:
    return frozenset(place for verb in verbs if verb is not None for place in verb.places)


def _pick(found: list[str]) -> str | None:
    return found[0] if len(found) == 1 else None


def _where(heard: Heard) -> str:
    return heard.name("environment") or (EVERYWHERE if heard.has("everywhere") else heard.vocabulary.home)


def _places_of(heard: Heard, *sorts: str) -> frozenset[int]:
    return frozenset().union(*(heard.places(sort) for sort in sorts))


def open_cycle(heard: Heard) -> Candidate:
    """*Retrain the re-ranker on the new subjects but do not promote.*"""
    train, look = _verb(heard, "retrain"), _verb(heard, "investigate")
    verb = train or look
    if verb is None or heard.cycles:
        return Candidate(Kind.OPEN, 0.0)
    signal, model = heard.name("signal"), heard.name("model")
    signal = None if heard.places("signal") <= heard.places("model") else signal
    only_look = heard.has("touch_nothing") or any(m.negated for m in heard.mentions.get("change", ()))
    kept_back = heard.has("keep_back") or any(m.negated for m in heard.mentions.get("promote", ()))
    # A training that is to leave something alone makes a candidate and nothing else.
    kept_back = kept_back or bool(train and only_look)
    topics = heard.has("new_subjects")
    slots: dict[str, Any] = {
        "action": "retrain" if train else "diagnose",
        "signal": signal,
        "model": (model or _pick(list(heard.vocabulary.models))) if train else None,
        "new_subjects": topics,
        "do_not_promote": bool(kept_back),
        "only_diagnose": only_look and not train,
    }
    unclear = bool(heard.mentions.get("promote")) and not kept_back and _loose_promotion(heard)
    score = (
        2.5
        + GOES * bool(train and (model or topics))
        + FITS * bool(signal)
        + FITS * topics
        + FITS * bool(kept_back or only_look)
    )
    places = _places(verb) | heard.at(
        "new_subjects", "keep_back", "promote", "model", "touch_nothing", "down", "up", "cycle"
    )
    places |= (
        _places_of(heard, "signal", "model", "environment", "tool")
        | heard.when[1]
        | heard.at("change", "investigate", "retrain")
    )
    missing = ("signal",) if not train and signal is None else ()
    return Candidate(Kind.OPEN, score - NAMES * unclear, slots, places, missing)


def _loose_promotion(heard: Heard) -> bool:
    """*retrain and promote it*: what is promoted is not the operator's to order; gates and approvals decide."""
    return any(m.ordered and not m.negated for m in heard.mentions["promote"])


def stop(heard: Heard) -> Candidate:
    """*Stop everything in production.*"""
    verb = _verb(heard, "stop")
    return _switched(heard, Kind.STOP, verb)


def start(heard: Heard) -> Candidate:
    """*Start again in staging.*"""
    verb = _verb(heard, "start")
    return _switched(heard, Kind.START, verb)


def _switched(heard: Heard, kind: Kind, verb: Mention | None) -> Candidate:
    if verb is None or heard.cycles or heard.approvals:
        return Candidate(kind, 0.0)
    environment, role = heard.name("environment"), heard.name("role")
    tool = heard.name("tool") if heard.has("tool") else None
    whole = heard.has("everything") or heard.has("everywhere")
    long = len(verb.places) > 1 and kind is Kind.START
    again = kind is Kind.START and any(word.text in ("again", "working", "work") for word in heard.words)
    aimed = environment is not None or whole or role is not None or tool is not None
    score = NAMES + 1.5 * aimed + FITS * (whole and environment is not None) + GOES * ((long or again) and not aimed)
    several = len({each.name for each in heard.names["environment"]}) > 1
    where = environment or (
        EVERYWHERE if (whole and not role and not tool) or heard.has("everywhere") else heard.vocabulary.home
    )
    slots = {"environment": where, "agent": role, "tool": tool}
    places = _places(verb) | heard.at("everything", "everywhere", "tool", "stop" if kind is Kind.STOP else "start")
    places |= _places_of(heard, "environment", "role") | (heard.places("tool") if tool else frozenset())
    missing = ("environment",) if several or not (aimed or long or again) else ()
    return Candidate(kind, score, slots, places, missing)


def roll_back(heard: Heard) -> Candidate:
    """*Roll back staging to Tuesday.*"""
    verb = _verb(heard, "rollback")
    if verb is None or heard.cycles:
        return Candidate(Kind.ROLL_BACK, 0.0)
    to, at = _destination(heard)
    several = len({each.name for each in heard.names["environment"]}) > 1
    slots: dict[str, Any] = {"environment": heard.name("environment") or heard.vocabulary.home, "to": to}
    missing = tuple(name for name, lacks in (("to", to is None), ("environment", several)) if lacks)
    score = 2.5 + 1.5 * (to is not None) + FITS * bool(heard.places("environment"))
    places = _places(verb) | at | heard.places("environment") | heard.at("rollback", "stood") | heard.places("model")
    return Candidate(Kind.ROLL_BACK, score, slots, places, missing)


def _destination(heard: Heard) -> tuple[dict[str, str] | None, frozenset[int]]:
    """Return the one place a rollback leads to; two that differ are none."""
    named = heard.ids(_GOLD)
    versions = heard.ids(_REVISION)
    day, at = heard.day
    found = [{"how": "gold", "value": name} for name in named] + [{"how": "version", "value": v} for v in versions]
    if not named and heard.has("gold"):
        found.append({"how": "gold", "value": "gold"})
    if day is not None and day < heard.today:
        found.append({"how": "day", "value": day.isoformat()})
    places = at | heard.at("gold") | frozenset(w.place for w in heard.words if w.text in (*named, *versions))
    return (found[0] if len(found) == 1 else None), places


def cancel(heard: Heard) -> Candidate:
    """*Cancel si_2026_01_31_001.*"""
    return _about_cycle(heard, Kind.CANCEL, _verb(heard, "cancel", "stop"), "cancel", "stop")


def resume(heard: Heard) -> Candidate:
    """*Go on with si_2026_01_31_001.*"""
    return _about_cycle(heard, Kind.RESUME, _verb(heard, "resume", "start"), "resume", "start")


def _about_cycle(heard: Heard, kind: Kind, verb: Mention | None, *concepts: str) -> Candidate:
    noun = heard.has("cycle")
    if verb is None or not (heard.cycles or noun) or (verb.concept not in concepts[:1] and not heard.cycles):
        return Candidate(kind, 0.0)
    one = _pick(heard.cycles)
    score = NAMES + NAMES * (one is not None) + FITS * noun
    places = _places(verb) | heard.at("cycle", "open", *concepts)
    return Candidate(kind, score, {"cycle": one}, places, () if one else ("cycle",))


def approve(heard: Heard) -> Candidate:
    """*Approve ap_3f2a...*"""
    return _vote(heard, Kind.APPROVE, "approve", "deny")


def deny(heard: Heard) -> Candidate:
    """*Deny ap_3f2a..., wait for Monday.*"""
    return _vote(heard, Kind.DENY, "deny", "approve")


def _vote(heard: Heard, kind: Kind, mine: str, other: str) -> Candidate:
    said = [m for m in heard.mentions.get(mine, ()) if not m.negated]
    polite = {w.place for w in heard.words[:2] if w.text in ("ok", "okay")}
    against = [m for m in heard.mentions.get(other, ()) if not (set(m.places) & (heard.at(mine) | polite))]
    turned = any(m.negated for m in (*heard.mentions.get(mine, ()), *heard.mentions.get(other, ())))
    one = _pick(heard.approvals)
    if not said or heard.question or against or turned:
        return Candidate(kind, 0.0)
    clear = bool(heard.ordered(mine)) or bool(heard.approvals)
    slots: dict[str, Any] = {"approval": one}
    missing: tuple[str, ...] = () if one else ("approval",)
    if kind is Kind.DENY:
        slots["reason"] = heard.reason[:500]
    score = NAMES * clear + NAMES * (one is not None)
    return Candidate(kind, score, slots, heard.at(mine), missing)


def flag(heard: Heard) -> Candidate:
    """*Switch auto promote off in production.*"""
    name = heard.name("flag")
    on, off = _switch_words(heard)
    if name is None or on == off or heard.question:
        return Candidate(Kind.FLAG, 0.0)
    slots = {"flag": name, "enabled": on, "environment": _where(heard)}
    several = len({each.name for each in heard.names["environment"]}) > 1
    places = (
        heard.places("flag")
        | heard.at("enable", "disable", "flag", "everywhere", "stop", "start")
        | heard.places("environment")
    )
    places |= frozenset(word.place for word in heard.words if word.text in ("true", "false"))
    return Candidate(Kind.FLAG, 2 * NAMES + FITS, slots, places, ("environment",) if several else ())


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


def override(heard: Heard) -> Candidate:
    """*Override the ndcg gate to 0.01 in staging for two hours.*"""
    verb = _verb(heard, "override")
    if verb is None or not heard.has("gate") or heard.cycles:
        return Candidate(Kind.OVERRIDE, 0.0)
    gate, numbers, lasting = heard.name("gate"), heard.numbers, heard.lasting[0]
    number = numbers[0] if len(numbers) == 1 else None
    hours = lasting.total_seconds() / 3600 if lasting is not None else None
    slots = {
        "gate": gate,
        "threshold": number,
        "environment": heard.name("environment") or heard.vocabulary.home,
        "hours": hours,
    }
    missing = tuple(name for name in ("gate", "threshold", "hours") if slots[name] is None)
    score = NAMES + GOES + GOES * (gate is not None) + FITS * (number is not None) + FITS * (hours is not None)
    places = (
        _places(verb)
        | heard.at("gate", "override", "flag", "quiet")
        | _places_of(heard, "gate", "signal", "environment")
    )
    return Candidate(Kind.OVERRIDE, score, slots, places | heard.lasting[1], missing)


ORDERS: tuple[Callable[[Heard], Candidate], ...] = (
    *(open_cycle, stop, start, roll_back, cancel, resume, approve, deny, flag, override),
)


def orders(heard: Heard) -> Iterator[Candidate]:
    """Return how well each order fits; a sentence that speaks of what may be, or tells of what
    somebody else said, gives none."""
    return iter(()) if heard.conditional or heard.reported else (each(heard) for each in ORDERS)


def called_off(heard: Heard) -> tuple[str, ...]:
    """Return the orders that the sentence says not to carry out, but for what bounds another."""
    concepts = ("stop", "start", "rollback", "cancel", "resume", "approve", "deny", "retrain", "enable", "override")
    bounded = heard.at(*_BOUNDS, "keep_back", "touch_nothing", "policy") | heard.places("flag")
    found = [c for c in concepts for m in heard.mentions.get(c, ()) if m.negated and not set(m.places) & bounded]
    return tuple(dict.fromkeys(found))


def bounded(order: Candidate) -> bool:
    """Whether an order has a bound that a *not* of the sentence is accounted for by."""
    slots = order.slots
    return bool(slots.get("do_not_promote") or slots.get("only_diagnose") or order.kind is Kind.FLAG)


def is_identity(text: str) -> bool:
    """Whether a word is an identity: it is accounted for wherever a reading uses it."""
    return bool(re.fullmatch(rf"si_[\d_]+|ap_[0-9a-f]+|{_GOLD}|{_REVISION}", text))
