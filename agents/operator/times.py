"""Whether an order is for another time than now, or for a while: none but an override of a gate can be.

All that is known of times that bind an order stands here; `moments` makes periods of those that a question is about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.operator.heard import Heard
from agents.operator.lexicon import word_set
from agents.operator.moments import days_named
from agents.operator.mood import after
from agents.operator.questions import Candidate
from agents.operator.words import Word
from domain.intent import Kind

_SPAN = r"(?:morning|evening|afternoon|night|day|week|month|hour|minute|quarter|time|weekday|weekend|sprint|release)s?"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?)"
_WHILE = r"for (?:a|the|one) (?:moment|while|bit|second|minute"
# Looked for among the words that are no remark.
_TIMES = re.compile(
    rf"\bin (?:the )?(?:morning|evening|afternoon|night)s?\b|\b(?:every|each|any) (?:\w+ )?(?:{_SPAN}|{_WEEKDAY})\b"
    r"|\b(?:at|by|before|till|until|towards?) (?:dusk|night|nightfall|sunrise|sunset|lunch\w*|breakfast|dinner)\b"
    r"|\b(?:at|on|by|before|till|until) (?:the )?weekends?\b"
    r"|\bthis (?:evening|afternoon|night|weekend)\b|\b(?:just|only) for (?:today|now|tonight)\b"
    rf"|\b{_WHILE}|time being|little|short)\b|\b(?:off and on|on and off)\b"
    r"|\b(?:nightly|daily|hourly|weekly|monthly|repeatedly|periodically|regularly)\b"
)
# Looked for in what was written: a courtesy or a slip of the fingers hides none of them.
_WRITTEN = re.compile(rf"\bdawn\b|\bfor today\b|\btoday only\b|\b{_WHILE})\b")
# Looked for in the sentence put plainly, remarks and all.
_CLOCK = re.compile(
    r"\b(?:at|by|from|around) (?:\d{1,2}:\d\d|\d{1,2}\s?(?:am|pm|o'clock)\b|noon|midnight)"
    r"|\bin (?:the )?(?:a|an|one|two|three|four|five|six|ten|\d+|half an|next) ?(?:few |couple of )?"
    r"(?:h|hours?|minutes?|mins?|days?|weeks?)\b|\bend of (?:the )?(?:day|week|month|year|business)\b"
)
# An override lasts for a while anyhow, and is given a number.
_BRIEFLY = re.compile(r"\b(?:temporar\w+|brief(?:ly)?)\b")
_HOUR = re.compile(r"\b(?:at|by|around|towards?|till|until) \d{1,2}(?:[:.]?\d\d)?(?![\w%])")
_UNTIL, _COMING = frozenset({"until", "till"}), frozenset({"next", "coming", "following"})
# What may stand before a duration and puts nothing off: *during the next two hours*.
_LASTING = frozenset({"during", *_COMING})
# Whom something holds until, that holds until somebody says otherwise.
_WHOEVER = ("i", "we", "further", "told", "you", "someone", "somebody")
# Orders that hold until somebody says otherwise, and those that have no time of their own.
_ENDLESS = frozenset({Kind.STOP, Kind.START, Kind.CANCEL, Kind.RESUME, Kind.APPROVE, Kind.DENY, Kind.FLAG})
_TIMELESS = _ENDLESS | {Kind.OVERRIDE}


def other_time(heard: Heard, order: Candidate, left: Sequence[Word]) -> bool:
    """Whether an order is for another time than now, for a while, or for every such time.

    Args:
        left: the words that are no remark.
    """
    dated = bool(heard.when[1] - heard.remarks - heard.at("quiet"))
    lasting = bool(heard.lasting[1] - heard.remarks)
    return (
        (order.kind in _TIMELESS and dated)
        or (order.kind in (*_ENDLESS, Kind.ROLL_BACK) and lasting)
        or _later(heard)
        or _timed(heard, left, order)
    )


def _timed(heard: Heard, left: Sequence[Word], order: Candidate) -> bool:
    text = " ".join(word.text for word in left)
    written = heard.said.replace(heard.reason, "") if heard.reason else heard.said
    if _TIMES.search(text) or _WRITTEN.search(written) or _CLOCK.search(heard.put):
        return True
    if order.kind is not Kind.OVERRIDE and (_BRIEFLY.search(written) or _HOUR.search(text)):
        return True
    named = days_named(heard.words)
    days = {word.text for word in left if word.place in named} - {"today", "yesterday"}
    return order.slots.get("action") == "retrain" and bool(days)


def _later(heard: Heard) -> bool:
    """Whether it speaks of a time that is to come: an order is for now."""
    spans = {place - step for place in heard.lasting[1] for step in (0, 1, 2, 3)}
    taken = heard.remarks | _behind_bounds(heard)
    for word in heard.words:
        if word.place in taken or (word.place in spans and word.text in _LASTING):
            continue
        coming = word.text in _COMING and after(heard.words, word.place) in word_set("spans")
        until = word.text in _UNTIL and after(heard.words, word.place) not in _WHOEVER
        if coming or until or word.text in word_set("later"):
            return True
    return _not_yet(heard)


def _behind_bounds(heard: Heard) -> set[int]:
    """Return the places of a bound and behind it in its clause: *until the evaluation*, *never before the release* are
    of the bound, not of the order.
    """
    first: dict[int, int] = {}
    for place in sorted(heard.at("keep_back", "touch_nothing"), reverse=True):
        first[heard.words[place].clause] = place
    ordering = {heard.words[place].clause for place in heard.at("retrain", "investigate")}
    return {
        word.place
        for word in heard.words
        if word.clause in first and (word.place >= first[word.clause] or word.clause not in ordering)
    }


def _not_yet(heard: Heard) -> bool:
    """*Stop it, but not yet*: a clause that says nothing else."""
    clauses: dict[int, set[str]] = {}
    for word in heard.words:
        clauses.setdefault(word.clause, set()).add(word.text)
    return any(
        "not" in said and said <= {"but", "not", "yet", "now", "just", "so", "fast"} for said in clauses.values()
    )
