"""What a training is bound by beside its promotion: a price, which an order holds; and what no order holds, a part of
its data or a while, which is asked back.
"""

from __future__ import annotations

import re

from agents.operator.heard import Heard
from agents.operator.lexicon import word_set
from agents.operator.words import Word

REMEDIES = ("retrain", "rollback")
"""What a cycle might do that was opened to look into something."""
_SPEND = r"(?:spend(?:ing)?|us(?:e|ing)|pay(?:ing)?|cost(?:ing|s)?|it (?:may|must|should|can) (?:only )?cost|keep it)"
_LIMIT = (
    r"(?:at (?:the )?most|max(?:imum)?(?: of)?|(?:no|not) more than|(?<!not )less than|under|below|within|up to"
    r"|(?:not|never) (?:to )?(?:exceed|(?:spend|cost|use|pay) (?:more than|over|above)|go (?:over|above|beyond))"
    r"|(?:budget|limit|cap|maximum) of|capped at|limited to)"
)
_DOLLARS = r"\d{1,6}(?:\.\d{1,2})?) (?:us )?(?:dollars?|usd|bucks)\b"
_AT_MOST = re.compile(
    rf"\b(?:{_SPEND} )?(?:{_LIMIT} (?P<sum>{_DOLLARS}"
    rf"|(?P<other>{_DOLLARS} (?:at (?:the )?most|max(?:imum)?|tops|or less)\b)"
)
# So near to a word for subjects an exception is of them; so near behind its preposition stands what is trained on.
_NEAR = (1, 2, 3)
_ON = frozenset({"on", "with", "using", "over", "from", "about"})


def at_most_usd(heard: Heard) -> tuple[float | None, frozenset[int]]:
    """Return what it may cost at most, in US dollars, and where that is said: *with at most 20 dollars*; nothing where
    it is said twice.
    """
    found = list(_AT_MOST.finditer(heard.put))
    if len(found) != 1:
        return None, frozenset()
    said = found[0]["sum"] or found[0]["other"]
    words = found[0][0].split()
    at = next((word.place for word in heard.words if word.text == said), None)
    if at is None:
        return None, frozenset()
    first = at - words.index(said)
    return float(said), frozenset(range(max(0, first), min(len(heard.words), first + len(words))))


def left_alone(heard: Heard) -> frozenset[int]:
    """Return where it is said, behind what is to be looked into, what is not to be done about it: *don't retrain*."""
    looks = [place for mention in heard.ordered("investigate") for place in mention.places]
    if not looks or heard.ordered("retrain"):
        return frozenset()
    said = [m for remedy in REMEDIES for m in heard.mentions.get(remedy, ()) if m.negated]
    return (
        frozenset(place for m in said for place in m.places)
        if all(m.places > (max(looks),) for m in said)
        else frozenset()
    )


def promoted(heard: Heard) -> bool:
    """Whether it says to put something live: *and put it live*, and not *promotion is my business*."""
    said = [heard.words[m.places[0]] for m in heard.mentions.get("promote", ()) if not m.negated]
    return any(word.text not in word_set("promotions") or not _restrained(heard, word) for word in said)


def _restrained(heard: Heard, noun: Word) -> bool:
    clause = {word.text for word in heard.words if word.clause == noun.clause}
    return bool(clause & word_set("restraint"))


def unheld(heard: Heard, places: frozenset[int]) -> bool:
    """Whether a training is for a part or a while that no order holds: *on the old subjects*, *for two hours*. Numbers
    and times in a clause that says how a signal moved describe it.

    Args:
        places: what the order accounts for.
    """
    tells = {heard.words[place].clause for place in heard.at("down", "up") | heard.places("signal")}
    counted = {word.place for word in heard.words if word.text[0].isdigit()} | heard.lasting[1]
    money = at_most_usd(heard)[1]
    if any(heard.words[place].clause not in tells for place in counted - money):
        return True
    subjects = heard.at("new_subjects")
    near = {place - step for place in subjects for step in _NEAR if place >= step} - subjects
    excepted = {heard.words[place].text for place in near} & (word_set("exceptions") - {"only", "just"})
    # *The other model* is none that a cycle trains.
    other = any(place and heard.words[place - 1].text == "other" for place in heard.places("model") | heard.at("model"))
    if other or excepted or any(mention.negated for mention in heard.mentions.get("new_subjects", ())):
        return True
    verbs = {heard.words[place].clause for place in heard.at("retrain")}
    own = [word for word in heard.words if word.clause in verbs]
    if any(word.text in word_set("fractions") and word.place not in subjects | money for word in own):
        return True
    return any(
        word.place not in places and _trained_on(heard, word, places) for word in own if word.place + 1 not in subjects
    )


def _trained_on(heard: Heard, word: Word, places: frozenset[int]) -> bool:
    """Whether a word that nothing accounts for says what to train on: *on cooking*."""
    before = {
        each.text for each in heard.words[max(0, word.place - len(_NEAR)) : word.place] if each.place not in places
    }
    return bool(before & _ON) and bool(heard.unexplained({*range(len(heard.words))} - {word.place}))
