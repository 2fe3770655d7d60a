"""What makes an order doubtful wherever it stands: it is taken back, told, quoted, for a part, or for another time.

The grammar sees a *not*, a condition and an exception (`limits`); these would be carried out otherwise than they were
meant just the same. In doubt an order is asked back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import pairwise

from agents.operator.heard import Heard
from agents.operator.lexicon import word_set
from agents.operator.names import ENVIRONMENTS
from agents.operator.questions import Candidate
from agents.operator.remarks import unremarked
from agents.operator.times import other_time
from agents.operator.words import HAVE, Word, stem
from domain.intent import Kind

_TAKEN_BACK = re.compile(
    r"\bactually,? (?:no|do not|not|never|wait|leave|keep|forget)\b|\b(?:scratch|strike|belay|forget|ignore|undo|revoke"
    r"|disregard) (?:that|this|it|what)\b|\bchang\w* (?:my|our) minds?\b|\bsecond thoughts?\b|\bmy (?:bad|mistake)\b"
    r"|\b(?:take|taking|took) (?:it|that|this|(?:all|everything) of (?:it|that)) back\b|\btake back\b|\bnever,? mind\b"
    r"|\b(?:that|this|it) (?:is|was) (?:all )?(?:wrong|a mistake|an error|a joke|a test|not (?:right|what))\b"
    r"|\b(?:just )?(?:kidding|joking)\b|\bwrong (?:one|cycle|request|window|chat|channel|environment)\b"
    r"|\b(?:hold|hang) on(?=\s*(?:[,.;:!?]|$|a\b|no\b|do not\b))|\bno,? (?:wait|stop|sorry)\b|\boops\b"
    r"|\bi did not mean\b|(?<!not )(?<!to )(?<!can )\bwait"
    r"(?=\s*(?:[,.;:!?]|$|no\b|do not\b|never\b|actually\b|a (?:moment|minute|second|sec|bit)\b))"
)
_CANCEL_THAT = re.compile(r"\b(?:cancel|stop|abort|drop) (?:that|this)(?=\s*(?:[,.;:!?]|$))")
_CANCELS = re.compile(r"\b(?:cancel|stop|abort|kill|end|halt|terminate|drop)\b")
# What an order that is spoken of is not given by.
_NOT_GIVEN = re.compile(
    r"\b(?:forget|postpone|delay|avoid|abandon|reconsider|rethink|consider|hold off|put off|instead of|rather than|quit"
    r"|stop|cease|refrain|think|talk|speak|wait)\b(?: \w+){0,2} (?P<doing>\w{3,}ing)\b"
)
_TRAINING = frozenset(map(stem, ("retraining", "training", "refitting", "finetuning", "diagnosing", "investigating")))
_FORGET = re.compile(r"\bforget about\b|\b(?:hold|put|wait)(?: it)? off\b")
# *Given errors* is a condition, *given the errors* a reason.
_GIVEN = re.compile(
    r"(?:^|[,.;:!?] ?)given (?!the\b|that\b|this\b|these\b|those\b|our\b|how\b|all\b)"
    r"|\bin (?:the |any )?(?:case|event)\b|\bon (?:any )?(?:errors?|failures?)\b"
)
_QUOTES = {
    '"': '"',
    "'": "'",
    "\u201c": "\u201d",
    "\u201e": "\u201d\u201c",
    "\u00ab": "\u00bb",
    "`": "`",
    "\u2018": "\u2019'",
}
# Said of many, where an order is about one.
_MANY = frozenset({"all", "every", "everything", "each", "both", "any", "since", "cycles", "requests", "approvals"})
_OF_ONE = (Kind.CANCEL, Kind.RESUME, Kind.APPROVE, Kind.DENY)
_SWITCHES = (Kind.STOP, Kind.START)
_VERBS: Mapping[Kind, tuple[str, ...]] = {
    **{kind: (kind.value,) for kind in (*_SWITCHES, *_OF_ONE)},
    Kind.ROLL_BACK: ("rollback",),
    Kind.FLAG: ("enable", "disable"),
    Kind.OPEN: ("retrain", "investigate"),
    Kind.OVERRIDE: ("override",),
}
_NAMES = "|".join(
    sorted({p.strip() for said in ENVIRONMENTS.values() for p in said.split(",") if p.strip()}, key=len, reverse=True)
)
_OWN = re.compile(r"\bpre[- ]?prod(?:uction)?\b")
_COMPOUND = re.compile(
    rf"(?:\w[-_/&@.+]|\b(?:non|ex|pre|post|former|formerly|pseudo|quasi|semi|anti|un|sub)\s)(?:{_NAMES})\b"
    rf"|\b(?:{_NAMES})(?:[-_/&@.+]\w|\s\d{{1,3}}(?![\w.,%:-]))"
)


def taken_back(said: str, kind: Kind | None = None) -> bool:
    """Whether a normalised sentence takes back what it says: *scratch that*. *Cancel that* takes back any order but a
    cancellation, which it may be itself.
    """
    if _TAKEN_BACK.search(said):
        return True
    again = _CANCEL_THAT.search(said)
    return again is not None and (kind is not Kind.CANCEL or bool(_CANCELS.search(said[: again.start()])))


def doubtful(heard: Heard, order: Candidate) -> bool:
    """Whether an order that was read is one only in part, at another time, or not at all."""
    said = heard.said
    if taken_back(said, order.kind) or _quoted(said, order.kind) or _compound(said, order.kind):
        return True
    held = bool(order.slots.get("do_not_promote") or order.slots.get("only_diagnose"))
    if _not_given(said, _TRAINING if held else word_set("deed_verbs")):
        return True
    if order.kind is not Kind.DENY and _GIVEN.search(said):
        return True
    left = unremarked(heard, order)
    return other_time(heard, order, left) or _told(heard, order) or (not held and _in_part(heard, left, order))


def _not_given(said: str, deeds: Collection[str]) -> bool:
    """*Forget about cancelling it*, *stop retraining*: the deed is spoken of; *stop everything* does it. Where a bound
    is kept, only what is bound counts: *hold off promoting* is the bound.
    """
    spoken = (stem(found["doing"]) for found in _NOT_GIVEN.finditer(said))
    return (deeds is not _TRAINING and _FORGET.search(said) is not None) or any(deed in deeds for deed in spoken)


def _in_part(heard: Heard, left: tuple[Word, ...], order: Candidate) -> bool:
    """Whether it is for some of what it would be carried out on, or for something of another name."""
    known = order.places | heard.lasting[1] | heard.when[1] | heard.places_of_ids()
    texts = {word.text for word in left if word.place not in known}
    numbered = order.kind in (*_SWITCHES, *_OF_ONE, Kind.FLAG) and any(text[0].isdigit() for text in texts)
    parts = word_set("parts") - ({"new", "newest"} if order.kind is Kind.OPEN else set())
    if numbered or texts & parts or any(_coded(text) for text in texts):
        return True
    if order.kind in _OF_ONE and {word.text for word in left} & _MANY:
        return True
    return order.kind in (*_SWITCHES, Kind.CANCEL) and bool(texts & {"did", "does", "made", "he", "she", "they"})


def _coded(text: str) -> bool:
    """Whether a word is a name nobody knows: *prod2*."""
    return text[0].isalpha() and not text.isalpha() and bool(re.search(r"[\d_]", text))


def _told(heard: Heard, order: Candidate) -> bool:
    """Whether its verb tells of something: *production stops*, *stop of production*, *stop, production is fine*."""
    mentions = [m for concept in _VERBS.get(order.kind, ()) for m in heard.mentions.get(concept, ())]
    for mention in mentions:
        word = heard.words[mention.places[0]]
        bent = word.text.endswith("s") and len(word.text) > 4 and stem(word.text[:-1]) == word.stem
        # *It looks good* is a vote.
        bent = bent and (order.kind not in _OF_ONE or word.stem in word_set("deed_verbs"))
        following = heard.words[word.place + 1].text if word.place + 1 < len(heard.words) else ""
        if bent or (following == "of" and len(mention.places) == 1) or _announced(heard, word):
            return True
    verbs = {heard.words[m.places[0]].clause for m in mentions if m.ordered}
    aimed = {heard.words[p].clause for p in heard.at("everything", "everywhere") | heard.places("role")}
    if order.kind not in _SWITCHES or not verbs or verbs & aimed:
        return False
    placed = {heard.words[p].clause for p in heard.places("environment")}
    stands = {word.clause for word in heard.words if word.stem in ("be", HAVE)}
    return not verbs & placed and any(clause > min(verbs) for clause in placed & stands)


def _announced(heard: Heard, verb: Word) -> bool:
    """*I will stop it*: whoever says so does it themselves; *I will need it stopped* orders it."""
    before = [word.text for word in heard.words if word.clause == verb.clause and word.place < verb.place]
    pairs = [pair for pair in pairwise(before) if pair[0] in ("i", "we") and pair[1] in ("will", "shall")]
    return bool(pairs) and not {"need", "want", "like", "have"} & {*before}


def _compound(said: str, kind: Kind) -> bool:
    """Whether an environment's name is a part of another name: *non-production*, *prod-eu*, *staging 2*."""
    found = _COMPOUND.search(_OWN.sub("preprod", said))
    return found is not None and not (kind is Kind.OVERRIDE and found[0][-1].isdigit() and " " in found[0])


def _quoted(said: str, kind: Kind) -> bool:
    """Whether all of it is quoted, or some of it that is more than a word: what a quotation says is nobody's order."""
    body = said.strip(" .,;:!?()[]")
    if not body:
        return False
    whole = len(body) > 1 and body[-1] in _QUOTES.get(body[0], "")
    some = re.search(r"[\"\u201c\u201e\u00ab`][^\"\u201d\u00bb`]*\s[^\"\u201d\u00bb`]*[\"\u201d\u201c\u00bb`]", body)
    return whole or body.startswith(">") or (kind is not Kind.DENY and some is not None)
