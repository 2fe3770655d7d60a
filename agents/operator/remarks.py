"""What is said beside an order and is no part of it: why it is given, and how things are.

*Stop everything in production, it is dangerous now.* A clause is a remark only where nothing in it could bind: no
*not*, no condition, no *should*, no number, no day, no name of anything that orders are about. What is in doubt is no
remark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from agents.operator.lexicon import negates, word_set
from agents.operator.words import HAVE, Word
from domain.intent import Kind

if TYPE_CHECKING:
    from agents.operator.heard import Heard
    from agents.operator.questions import Candidate

_BECAUSE = re.compile(
    r"\s(?:because(?: of)?|due to|owing to|reason:|since (?:it|the|that|this|we|they|there)|as (?:it|the|we|they|there)"
    r"|ponieważ|bo|тому що|\u0431\u043e)\s"
)
# What a reason may be followed by that is none of it any more.
_NEXT = re.compile(r"(?=\s*(?:[,;!?]|\.(?!\d))|\s(?:but|and|then|so|or)\s)")
# Words that bind, wherever they stand.
_BINDING = re.compile(
    r"\b(?:if|unless|until|till|once|provided|except|only|promot\w*|ship\w*|deploy\w*|releas\w*|live|roll\w*|publish\w*"
    r"|tomorrow|tonight|later|chang\w*|touch\w*|alter\w*|candidate|offline|unpromoted|untouched)\b"
)
_BOUNDS = ("promote", "change", "keep_back", "touch_nothing", "gold", "everywhere", "now_past")
_NAMES = ("environment", "flag", "role", "gate")
# Stems of verbs that say how something is.
_LINKS = ("be", HAVE, "look", "seem", "sound", "feel", "smel")
_UNSURE = frozenset().union(*(word_set(part) for part in ("binding", "later", "conditions", "exceptions")))
# So far into a clause its verb may stand.
_VERB = 5


def without_reason(said: str) -> tuple[str, str]:
    """Return a sentence without the reason it gives, and the reason.

    A reason that holds what could bind stays in the sentence, and what follows it stays always: *because it is stale,
    but do not promote*.
    """
    cut = _BECAUSE.search(said)
    if cut is None:
        return said, ""
    tail = said[cut.end() :]
    after = _NEXT.search(tail)
    first, rest = (tail, "") if after is None else (tail[: after.start()], tail[after.start() :])
    if _BINDING.search(first):
        return said, tail.strip()
    return said[: cut.start()] + rest, tail.strip()


def remarks(heard: Heard) -> frozenset[int]:
    """Return the places of the clauses that are no more than remarks."""
    clauses: dict[int, list[Word]] = {}
    for word in heard.words:
        clauses.setdefault(word.clause, []).append(word)
    if len(clauses) < 2:
        return frozenset()
    bound = _bound(heard)
    found = [clause for clause in clauses.values() if _remark(clause, bound)]
    return frozenset(word.place for clause in found for word in clause)


def apart(heard: Heard, places: frozenset[int]) -> frozenset[int]:
    """Return the places of the clauses that hold none of these: what is said beside a denial is its reason."""
    own = {heard.words[place].clause for place in places}
    return frozenset(word.place for word in heard.words if word.clause not in own)


def unremarked(heard: Heard, order: Candidate) -> tuple[Word, ...]:
    """Return the words that are no remark, and no reason of a denial."""
    away = heard.remarks | heard.at("quiet")
    if order.kind is Kind.DENY:
        away |= apart(heard, order.places | heard.places_of_ids())
    return tuple(word for word in heard.words if word.place not in away)


def told_at(heard: Heard, places: frozenset[int]) -> str:
    """Return the words at places."""
    return " ".join(word.text for word in heard.words if word.place in places)


def _bound(heard: Heard) -> frozenset[int]:
    """Return the places of what a remark must not hold."""
    ordered = {p for said in heard.mentions.values() for m in said if m.ordered for p in m.places}
    # A gate is named as its signal is: *users are complaining* speaks of no gate where nothing else does.
    named = {p for sort in _NAMES for p in heard.places(sort) if sort != "gate" or heard.at("gate", "override")}
    numbers = {word.place for word in heard.words if word.text[0].isdigit() or "_" in word.text}
    past = {word.place for word in heard.words if word.text.endswith("ed")}
    bounds = heard.at(*_BOUNDS) - (heard.at("change") & past)
    return frozenset({*ordered, *named, *numbers, *bounds, *heard.when[1], *heard.lasting[1]})


def _remark(clause: Sequence[Word], bound: frozenset[int]) -> bool:
    texts = [word.text for word in clause]
    if any(word.place in bound or negates(word) for word in clause):
        return False
    # *Everything after is broken*: that is of no time to come.
    unsure = {a for a, b in pairwise([*texts, ""]) if a in _UNSURE and not (a == "after" and b in ("is", "was", "are"))}
    if unsure or texts[0] in word_set("unremarked"):
        return False
    return _tells(clause)


def _tells(clause: Sequence[Word]) -> bool:
    """Whether a clause says how something is: a subject with a verb behind it, a reason, or *too* much of something."""
    texts = [word.text for word in clause]
    if texts[0] in word_set("reasons") or "too" in texts[:2]:
        return True
    if texts[0] in word_set("subjects") and len(clause) > 1:
        return True
    return any(word.stem in _LINKS for word in clause[1:_VERB])
