"""A sentence put plainly, before it is taken apart: greetings and courtesies off, passives turned round.

*Would you mind bringing it to an end?* is *bring it to an end*; *production should be stopped* is *stop production*.
What is taken off carries no wish of its own: a form that could hold a bound, a condition or a *not* is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from agents.operator.lexicon import known_stems, listed_lines, word_set
from agents.operator.words import stem

_START = r"(?:^|(?<=[,.;:!?] )|(?<=[,.;:!?])|(?<= and )|(?<= so )|(?<= but ))\s*"
_ASKED_IF = re.compile(
    r"\b((?:tell|let|show|inform|remind) (?:me|us)(?: know)?|do you know"
    r"|(?:i|we) (?:wonder|want to know|would like to know|need to know|am wondering|was wondering)"
    r"|find out|check|see|ask(?:ing)?|wonder(?:ing)?) if\b"
)
# The parts of a passive order: what it is about, its verb, and the particle that goes with the verb.
_PASSIVE = re.compile(
    r"(?P<about>(?:(?!\b(?:should|must|be|is|are)\b)[\w'/-]+ ){1,14}?)"
    r"(?P<must>should(?: now| please| also| just)?|must|needs? to|ha(?:s|ve) to|(?:is|are) to|ought to|shall|can|may"
    r"|(?:is|are) supposed to) "
    r"(?P<not>not |never )?(?:now |please |also |just |simply |immediately |again )?be "
    r"(?:now |immediately |again |please )?"
    r"(?P<verb>\w+)(?P<particle> (?:off|on|back|down|up|out|over|through)\b)?(?= |$)"
)
_BREAK = re.compile(r"(\s*(?:[,;:!?]|\.(?!\d))\s*|\s+(?:but|and|then)\s+)")
# *I do not understand why you retrained* asks why.
_UNKNOWN = re.compile(
    r"\bi (?:still |really |just )?(?:do not|can not|did not) (?:quite |really |fully )?"
    r"(?:know|understand|see|get|grasp|follow) (why|what|how|who|which|when|where|whether)\b"
)
_KEEN = re.compile(
    r"\b(?:i|we) would (?:really |very much |also )?"
    r"(?:appreciate|love|like|be (?:happy|glad|grateful|curious|interested))"
    r" (?:knowing|to know|hearing|to hear|to understand|to learn|learning|to find out|to be told)\b"
)
_LOOKED_AT = re.compile(
    r"\bi (?:have )?(?:now |just |also |already )?(?:read|reviewed|checked|studied|looked|gone|been)"
    r"(?: through| over| at| into)? (ap_\w+)(?: \w+ly| twice| again| already)?(?:\s*,)?(?: and\b)?"
)
# What is no longer needed is why it is called off, and no *not* of the order.
_NEEDLESS = re.compile(
    r"(?:\b(?:we|i) (?:do not|no longer) (?:need|require) )?((?:the )?(?:cycle )?\bsi_[\d_]+)"
    r"(?: (?:is|are) (?:not|no longer) (?:needed|required|necessary|wanted|useful|of (?:any )?use))?"
    r"(?: (?:any ?more|any longer|now))?(?=\s*[,.;:!]|\s+(?:and|so)\s)"
)
_NEEDLESS_IT = re.compile(
    r"(?:[,.;] |\b)(?:as |because |since )?"
    r"(?:(?:we|i) (?:do not|no longer) (?:need|require|want) (?:it|this|that)(?: one)?"
    r"|(?:it|this|that)(?: one)? (?:is|was) (?:not|no longer)"
    r" (?:needed|required|necessary|wanted|useful|of (?:any )?use))"
    r"(?: (?:any ?more|any longer|now))?(?=\s*(?:[,.;:!]|$))"
)
# What makes *could it be done?* a wish and no question: *please*, or all that an order needs; not who does it.
_REQUEST = re.compile(r"^(?!.*\b(?:by|without|if|why|how|ever|anyone|anybody)\b).*(?:\bplease\b|\d)")
_PERMITTED = ("can", "may")
_BASES: Mapping[str, str] = {
    **{w: w for w in ("put", "set", "cut", "shut", "let", "run", "quit")},
    "held": "hold", "kept": "keep", "taken": "take", "brought": "bring", "thrown": "throw", "begun": "begin",
    "undone": "undo", "unfrozen": "unfreeze",
    "given": "give", "made": "make", "frozen": "freeze", "got": "get", "gotten": "get",
    "left": "leave", "pulled": "pull", "found": "find", "broken": "break", "withdrawn": "withdraw", "built": "build",
}  # fmt: skip
_DONE = "|".join((r"\w{2,}ed", *_BASES))
# *I want staging stopped*, *let it be retrained*, *could it be switched off, please?*
_WISHED = re.compile(
    r"(?:please |so )?(?:(?:i|we) (?:(?:would|do) )?(?:like|love|prefer|want|need|wish) |let |could )"
    r"(?P<about>(?:(?!\b(?:should|must|be|is|are|to|you|me|us|not)\b)[\w'/-]+ ){1,10}?)"
    rf"(?:please )?(?:to )?(?:be )?(?P<verb>{_DONE})(?P<particle> (?:off|on|back|down|up|out|over|through)\b)?(?= |$)"
)


@dataclass(frozen=True)
class Plain:
    """A sentence put plainly; `courteous` says that it was asked for in the form of a question or a wish."""

    text: str
    courteous: bool = False


def plainly(said: str) -> Plain:
    """Return a normalised sentence put plainly."""
    text = _without(said, _greetings())
    text = _UNKNOWN.sub(r"tell me \1", _ASKED_IF.sub(r"\1 whether", text))
    text = _KEEN.sub("tell me", text)
    text = _LOOKED_AT.sub(r"\1 , ", text)
    courteous = False
    for pattern in _courtesies():
        found = pattern.search(text)
        if found is not None:
            rest = text[found.end() :]
            rest = _plain_verb(rest) if "mind" in found[0] else rest
            text = f"{text[: found.start()]} {rest}"
            courteous = True
    text = _without(_NEEDLESS.sub(r"\g<1> ", _NEEDLESS_IT.sub(" ", text)), _urgings())
    active = " ".join(_active(text).split())
    wished = text.startswith("could ") and not active.startswith("could ")
    return Plain(active, courteous or wished)


def _without(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for pattern in patterns:
        text = pattern.sub(" ", text)
    return text.strip()


@cache
def _greetings() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"^(?:{each})[,.:;!?\s-]*(?:but )?") for each in listed_lines("courtesies", "greetings"))


@cache
def _courtesies() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"{_START}(?:{each})(?= )") for each in listed_lines("courtesies", "asked"))


@cache
def _urgings() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?:{each})(?=\s*(?:[,.;:!]|$))") for each in listed_lines("courtesies", "urgings"))


def _plain_verb(rest: str) -> str:
    """*Bringing it to an end*, behind *would you mind*: bring it to an end."""
    first, _, more = rest.strip().partition(" ")
    if not first.endswith("ing") or len(first) < 6:
        return rest
    return f"{_base(first[:-3])} {more}"


def _base(root: str) -> str:
    """Return the verb that a root without its ending is of."""
    doubled = root[:-1] if len(root) > 3 and root[-1] == root[-2] else root
    said = word_set("ask_lead") | word_set("lead")
    forms = (root, doubled, f"{root}e")
    return next((each for each in forms if each in said or stem(each) in known_stems()), root)


def _active(text: str) -> str:
    asked = text.rstrip().endswith("?")
    if asked and text.startswith("could ") and not _REQUEST.search(text):
        return text
    return "".join(part if _BREAK.fullmatch(part) else _turned(part) for part in _BREAK.split(text) if part)


def _turned(clause: str) -> str:
    """Turn a passive that orders something round; what is asked, supposed or told is left as it is."""
    found = _PASSIVE.match(clause)
    if found is None:
        return _granted(clause)
    about, verb = found["about"].split(), _verb(found["verb"])
    if not verb or {*about} & word_set("not_about") or about[0] in word_set("wh") | word_set("auxiliary"):
        return clause
    if found["must"].split()[0] in _PERMITTED and stem(verb) not in word_set("permitted"):
        return clause
    no = "do not " if found["not"] else ""
    return f"{no}{verb}{found['particle'] or ''} {' '.join(about)}{clause[found.end() :]}"


def _granted(clause: str) -> str:
    """Turn round what is wished to be done to something."""
    found = _WISHED.match(clause)
    if found is None:
        return clause
    about, verb = found["about"].split(), _verb(found["verb"])
    if {*about} & word_set("not_about") or stem(verb) not in word_set("deed_verbs"):
        return clause
    return f"{verb}{found['particle'] or ''} {' '.join(about)}{clause[found.end() :]}"


def _verb(participle: str) -> str:
    if participle in _BASES:
        return _BASES[participle]
    if not participle.endswith("ed") or len(participle) < 5:
        return ""
    if participle.endswith("ied"):
        return participle[:-3] + "y"
    return _base(participle[:-2])
