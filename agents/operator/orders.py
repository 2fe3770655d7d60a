"""How well a sentence fits each order. An order is read strictly: its verb is one, stands where an order's verb stands,
is not negated and not conditional, and hardly a word is left that nothing accounts for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agents.operator.bounds import at_most_usd, left_alone
from agents.operator.choices import approve, deny, flag, pick, pointed
from agents.operator.heard import Heard, Mention
from agents.operator.limits import given
from agents.operator.moments import days_named
from agents.operator.questions import FITS, GOES, NAMES, Candidate
from domain.intent import EVERYWHERE, Kind

_REVISION = r"(?=[0-9a-f]*\d)[0-9a-f]{7,40}"
# What undoes what is named behind it, what leads away from it, and what may stand between them.
_BACK = ("undo", "undoing", "revert", "reverse", "unwind")
_AWAY, _BETWEEN = ("from", "since", "after", "before"), ("the", "revision", "version", "commit", "day", "last")
_NOUNS = ("rollback", "revert")
_ODD_NUMBER = re.compile(
    r"(?<![\w.])-\s?\.?\d|(?<![\d\w])\.\d|\d,\d{3}\b|\de\d|\b(?:by|least|most|minus|around|about) \d"
)
_GOLD = r"gold/\d{4}-\d{2}-\d{2}-\d{1,4}"


def _verb(heard: Heard, *concepts: str) -> Mention | None:
    """Return the verb of the order: the longest way it was said."""
    found = [m for concept in concepts for m in heard.ordered(concept)]
    leant = Mention(heard.leaning, (), negated=False, ordered=True) if heard.leaning in concepts else None
    return max(found, key=lambda m: (len(m.places), -m.places[0]), default=leant)


def _places(*verbs: Mention | None) -> frozenset[int]:
    return frozenset(place for verb in verbs if verb is not None for place in verb.places)


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
    only_look = heard.narrow or heard.has("touch_nothing") or any(m.negated for m in heard.mentions.get("change", ()))
    kept_back = heard.has("keep_back") or any(m.negated for m in heard.mentions.get("promote", ()))
    # *Look into it, but do not retrain*: what is looked into is not changed at all.
    only_look = only_look or bool(left_alone(heard))
    # A training that is to leave something alone makes a candidate and nothing else.
    kept_back = kept_back or bool(train and only_look)
    topics = heard.has("new_subjects")
    slots: dict[str, Any] = {
        "action": "retrain" if train else "diagnose",
        "signal": signal,
        "model": (model or pick(list(heard.vocabulary.models))) if train else None,
        "new_subjects": topics,
        "do_not_promote": bool(kept_back),
        "only_diagnose": only_look and not train,
        "at_most_usd": at_most_usd(heard)[0],
    }
    unclear = train is not None and not kept_back and _loose_promotion(heard)
    score = (
        2.5
        + FITS * (len(verb.places) > 1)
        + GOES * bool(train and (model or topics or _the_model(heard)))
        + FITS * bool(signal)
        + FITS * topics
        + FITS * bool(kept_back or only_look)
    )
    places = _places(verb) | heard.at(
        "new_subjects", "keep_back", "promote", "model", "touch_nothing", "down", "up", "cycle", "why"
    )
    worked = frozenset(p for named in heard.names["tool"] if named.name == "train_model" for p in named.places)
    places |= (
        _places_of(heard, "signal", "model", "environment")
        | worked
        | heard.when[1]
        | heard.at("change", "retrain" if train else "investigate")
    )
    places |= heard.at("everything") if kept_back or only_look else frozenset()
    places |= at_most_usd(heard)[1] | left_alone(heard)
    missing: tuple[str, ...] = ("signal",) if not train and signal is None else ()
    missing += ("environment",) if _elsewhere(heard, bound=(kept_back or only_look) and not heard.narrow) else ()
    return Candidate(Kind.OPEN, score - NAMES * unclear, slots, places, missing)


def _the_model(heard: Heard) -> bool:
    """Whether *the model* is spoken of, where there is one that can be meant."""
    return len(heard.vocabulary.models) == 1 and any(word.text == "model" for word in heard.words)


def _elsewhere(heard: Heard, *, bound: bool) -> bool:
    """Whether it is to be done in another environment: a cycle works where this Evercrew does. Behind a bound, or
    without a preposition, an environment may be of the bound: *keep it out of production*.
    """
    named = [each for each in heard.names["environment"] if not {*each.places} & heard.remarks]
    if bound:
        first = min(heard.at("keep_back", "promote", "touch_nothing", "change"), default=len(heard.words))
        aimed = {word.place + 1 for word in heard.words if word.text in ("in", "on", "for")}
        named = [each for each in named if each.places[0] < first and each.places[0] in aimed]
    return any(each.name != heard.vocabulary.home for each in named)


def _loose_promotion(heard: Heard) -> bool:
    """*retrain and promote it*: what is promoted is not the operator's to order; gates and approvals decide. And where
    promotion, or what is live, is spoken of in a way that was not understood, it may have been a bound.
    """
    spoken = heard.at("promote") - heard.places("flag")
    aimed = {"in", "for", "on"}
    live = (place for each in heard.names["environment"] for place in each.places[:1])
    return bool(spoken) or any(place == 0 or heard.words[place - 1].text not in aimed for place in live)


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
    places = (
        _places(verb)
        | at
        | heard.places("environment")
        | heard.at("rollback", "stood", "everything")
        | heard.places("model")
    )
    return Candidate(Kind.ROLL_BACK, score, slots, places, missing)


def _destination(heard: Heard) -> tuple[dict[str, str] | None, frozenset[int]]:
    """Return the one place a rollback leads to; two that differ are none."""
    named = heard.ids(_GOLD)
    versions = heard.ids(_REVISION)
    day, at = heard.day
    found = [{"how": "gold", "value": name} for name in named] + [{"how": "version", "value": v} for v in versions]
    if not named and heard.has("gold"):
        found.append({"how": "gold", "value": "gold"})
    places = at | heard.at("gold") | frozenset(w.place for w in heard.words if w.text in (*named, *versions))
    unclear = days_named(heard.words) - at - heard.remarks - heard.at("quiet")
    if unclear or heard.numbers or _from_there(heard, places):
        return None, places
    if day is not None and day < heard.today:
        found.append({"how": "day", "value": day.isoformat()})
    return (found[0] if len(found) == 1 else None), places


def _from_there(heard: Heard, places: frozenset[int]) -> bool:
    """*Undo a1b2c3d4*, *roll back from gold*, *revert the revert*: what is named is to go, or it is not clear."""
    texts = [word.text for word in heard.words]
    backs = [place for place, text in enumerate(texts) if text in _BACK]
    for place in sorted(places):
        before = next((texts[p] for p in range(place - 1, -1, -1) if texts[p] not in _BETWEEN), "")
        if place - 1 not in places and before in (*_AWAY, *_BACK):
            return True
    return len(backs) > 1 or (bool(backs) and any(w.stem in _NOUNS and w.place > backs[0] for w in heard.words))


def cancel(heard: Heard) -> Candidate:
    """*Cancel si_2026_01_31_001.*"""
    return _about_cycle(heard, Kind.CANCEL, _verb(heard, "cancel", "stop"), "cancel", "stop")


def resume(heard: Heard) -> Candidate:
    """*Go on with si_2026_01_31_001.*"""
    return _about_cycle(heard, Kind.RESUME, _verb(heard, "resume", "start"), "resume", "start")


def _about_cycle(heard: Heard, kind: Kind, verb: Mention | None, *concepts: str) -> Candidate:
    noun = heard.has("cycle") or (verb is not None and pointed(heard, verb.places))
    if verb is None or not (heard.cycles or noun) or (verb.concept not in concepts[:1] and not heard.cycles):
        return Candidate(kind, 0.0)
    one = pick(heard.cycles)
    score = NAMES + NAMES * (one is not None) + FITS * noun
    places = _places(verb) | heard.at("cycle", "open", *concepts)
    return Candidate(kind, score, {"cycle": one}, places, () if one else ("cycle",))


def _verbless(heard: Heard) -> Mention | None:
    """*For one day, ndcg gate 0.02 in staging*: where all of it is said it needs no verb; what was, or is, is told."""
    whole = heard.name("gate") and len(heard.numbers) == 1 and heard.lasting[0] is not None and not heard.question
    told = {"was", "were", "been", "had", "has", "is", "are"} & {word.text for word in heard.words}
    gate = heard.mentions.get("gate", ())
    return gate[0] if whole and not told and gate and not heard.nots else None


def override(heard: Heard) -> Candidate:
    """*Override the ndcg gate to 0.01 in staging for two hours.*"""
    gate, numbers, lasting = heard.name("gate"), heard.numbers, heard.lasting[0]
    verb = _verb(heard, "override") or _verbless(heard)
    whole = gate is not None and len(numbers) == 1 and lasting is not None
    if verb is None or not (heard.has("gate") or whole) or heard.cycles:
        return Candidate(Kind.OVERRIDE, 0.0)
    number = numbers[0] if len(numbers) == 1 and not _ODD_NUMBER.search(heard.put) else None
    hours = lasting.total_seconds() / 3600 if lasting is not None and "and a half" not in heard.put else None
    slots = {
        "gate": gate,
        "threshold": number,
        "environment": heard.name("environment") or heard.vocabulary.home,
        "hours": hours,
    }
    several = len({each.name for each in heard.names["environment"]}) > 1
    missing = tuple(name for name in ("gate", "threshold", "hours") if slots[name] is None)
    missing += ("environment",) if several or heard.has("everywhere") else ()
    score = NAMES + GOES + GOES * (gate is not None) + FITS * (number is not None) + FITS * (hours is not None)
    places = (
        _places(verb)
        | heard.at("gate", "override", "flag", "quiet")
        | _places_of(heard, "gate", "signal", "environment")
    )
    return Candidate(Kind.OVERRIDE, score, slots, places | heard.lasting[1], missing)


ORDERS: Mapping[Kind, Callable[[Heard], Candidate]] = {
    Kind.OPEN: open_cycle,
    Kind.STOP: stop,
    Kind.START: start,
    Kind.ROLL_BACK: roll_back,
    Kind.CANCEL: cancel,
    Kind.RESUME: resume,
    Kind.APPROVE: approve,
    Kind.DENY: deny,
    Kind.FLAG: flag,
    Kind.OVERRIDE: override,
}


def orders(heard: Heard) -> Iterator[Candidate]:
    """Return how well each order fits; a sentence that speaks of what may be, or tells of what
    somebody else said, gives none."""
    if heard.conditional or heard.reported:
        return iter(())
    found = (each(heard) for each in ORDERS.values())
    return (order for order in found if order.score > 0 and given(heard, order))


def is_identity(text: str) -> bool:
    """Whether a word is an identity: it is accounted for wherever a reading uses it."""
    return bool(re.fullmatch(rf"si_[\d_]+|ap_[0-9a-f]+|{_GOLD}|{_REVISION}", text))
