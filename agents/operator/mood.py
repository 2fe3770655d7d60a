"""In what mood a sentence is: it asks, supposes, tells of what somebody said, or asks for something politely."""

from __future__ import annotations

from collections.abc import Sequence

from agents.operator.lexicon import word_set
from agents.operator.words import Word

_WH, _AUX, _POLITE, _LEAD = word_set("wh"), word_set("auxiliary"), word_set("polite"), word_set("lead")
_ASK_LEAD = _LEAD | word_set("ask_lead")
_CONDITIONS, _REPORTED = word_set("conditions"), word_set("reported")
_ASKS_WHEN = frozenset({"was", "did", "were", "exactly", "has", ""})
_OF_WHAT = frozenset({"by", "on", "for", "in", "at", "from", "to", "of", "under", "with", "since", "until"})
_ONCE_MORE = frozenset({"more", "again"})


def after(said: Sequence[Word], place: int) -> str:
    """Return the word behind a place, or nothing."""
    return said[place + 1].text if place + 1 < len(said) else ""


def supposes(said: Sequence[Word]) -> bool:
    """Whether it speaks of what may be."""
    given = any(word.text in _CONDITIONS and not _once_more(said, word) for word in said)
    return given or any(w.place and w.text == "when" and after(said, w.place) not in _ASKS_WHEN for w in said)


def _once_more(said: Sequence[Word], word: Word) -> bool:
    """*Once more*, *at once*: no condition."""
    before = said[word.place - 1].text if word.place else ""
    return word.text == "once" and (after(said, word.place) in _ONCE_MORE or before == "at")


def tells(said: Sequence[Word]) -> bool:
    """Whether it tells of what somebody said or wrote: that is no order."""
    told = [word for word in said if word.text in _REPORTED and not _read_myself(said, word.place)]
    return any(not (word.text == "say" and after(said, word.place) in ("yes", "no")) for word in told)


def _read_myself(said: Sequence[Word], place: int) -> bool:
    """*I have read it and agree*: that tells of nobody else."""
    if said[place].text != "read":
        return False
    before = [word.text for word in said[max(0, place - 3) : place]]
    return after(said, place) == "only" or ("i" in before and after(said, place) not in ("that", "in"))


def asks_politely(said: Sequence[Word]) -> bool:
    """Whether it is an order in the form of a question: *could you please ...*"""
    at = next((word.place for word in said if word.text in _POLITE), None)
    if at is None or at > 2 or after(said, at) != "you":
        return False
    return all(word.text in _LEAD for word in said[:at])


def wonders(said: Sequence[Word], start: int) -> bool:
    """Whether a question word opens the sentence from a place on, after words of asking only."""
    if start < len(said) and said[start].text in _OF_WHAT and after(said, start) in _WH:
        return True
    for word in said[start:]:
        if word.text in _WH and not _relative(said, word.place):
            return True
        if word.place == start and word.text in _AUX and not _ordering_do(said, word.place):
            return True
        if word.text not in _ASK_LEAD:
            return False
    return False


def _relative(said: Sequence[Word], place: int) -> bool:
    return said[place].text == "when" and place > 0 and said[place - 1].stem not in ("tell", "me", "know")


def _ordering_do(said: Sequence[Word], place: int) -> bool:
    """*do not promote*, *do roll it back*, *have a look*: no question."""
    following = after(said, place)
    if said[place].text == "do":
        return following not in ("we", "you", "i", "they", "the", "any", "these", "our")
    return said[place].text == "have" and following in ("a", "the", "it")
