"""Sentences as words: cleaned, in one case, contractions written out, each word with its stem.

Everything after this works on stems, so that *stop*, *stops*, *stopped* and *stopping* are one word; what a slot is
read from are the words as they were written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache

from domain.untrusted import cleaned

# Longer than anything an operator says in one sentence; what is beyond is not read, and nothing is done at its word.
MOST_CHARACTERS = 600
# What is looked at of a text before it is cleaned.
_MOST_LOOKED_AT = 100_000
_TOKEN = re.compile(
    r"si_\d{4}_\d{2}_\d{2}_\d{3,6}|ap_[0-9a-f]{4,24}\b|gold/\d{4}-\d{2}-\d{2}-\d{1,4}|\d{4}-\d{2}-\d{2}"
    r"|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b"
    r"|[<>]=?|\d{1,2}:\d{2}|\d{1,2}(?:st|nd|rd|th)\b|\d+(?:[.,]\d+)?\s?%|\d+(?:[.,]\d+)?|[^\W\d_][\w]*(?:[-/&'@][\w]+)*|[?!,;:.]"
)
_CONTRACTIONS = (
    (r"\bcan'?t\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"\bshan't\b", "shall not"),
    (r"\b(do|does|did|is|are|was|were|has|have|had|would|could|should|must|need|ai)n'?t\b", r"\1 not"),
    (r"\b(do|does|did|is|are|was|were|has|have|had|would|could|should)nt\b", r"\1 not"),
    (r"\b(?!ca|wo|sha)(\w+?)n't\b", r"\1 not"),
    (r"\b(what|who|which|why|how|where|when) (?:on earth|in the world|the (?:hell|heck|devil|fuck))\b", r"\1"),
    (r"\bwont\b", "will not"),
    (r"\bcannot\b", "can not"),
    (r"\blet's\b", "let us"),
    (r"\b(what|who|where|when|how|why|that|there|it|he|she|here)'s\b", r"\1 is"),
    (r"\b(what|who|where|how|why)s\b", r"\1 is"),
    (r"'re\b", " are"),
    (r"'ve\b", " have"),
    (r"'ll\b", " will"),
    (r"\b(how|why|where|what)'d\b", r"\1 did"),
    (r"'d\b", " would"),
    (r"\b(who|what|which|when|why|how|where) is it that\b", r"\1"),
    (
        r"\b(?:under|on|in|by|at) no (?:circumstances?(?: whatsoever)?|account|case|means|time|point)"
        r"(?: (?:is|are) (?:it|this|that|they) to(?: be)?"
        r"| (?:must|should|may|shall|can) (?:it|this|that|they)(?: be)?)?\b",
        "never",
    ),
    (r"\bi'?m\b", "i am"),
    (r"\bid (like|love|want|need|prefer|be)\b", r"i would \1"),
    (r"\bit'?d be\b", "it would be"),
    (r"'s\b", ""),
    (r"\b(gonna)\b", "going to"),
    (r"\b(wanna)\b", "want to"),
    (r"\bgotta\b", "have to"),
    (r"\blemme\b", "let me"),
    (r"\bgimme\b", "give me"),
    (r"\b(dunno|idk)\b", "i do not know"),
    (r"\bu\b", "you"),
    (r"\b(ndcg|recall|map|mrr|precision)\s?@\s?\d+\b", r"\1"),
    (r"\$\s?(\d+(?:\.\d+)?)", r"\1 dollars"),
    (r"\b(\d+(?:\.\d+)?)\s?\$", r"\1 dollars"),
    # *Do not forget to*: it is to be done, and is a reminder more than an order.
    (r"\b(?:do not|never) (?:forget|fail|neglect|omit|hesitate) to\b", "remember to"),
    (r"\bw/o\b", "without"),
    (r"\bw/", "with "),
    (r"\bppl\b", "people"),
    (r"\s(?:-{1,2}|[\u2013\u2014])\s", " , "),
    (r"\b(pls|plz|plox)\b", "please"),
    (r"\bcould of\b", "could have"),
    (r"\ba\s?/\s?b\b", "ab"),
)
_IRREGULAR = {
    "went": "go", "gone": "go", "goes": "go", "going": "go", "fell": "fall", "fallen": "fall", "rose": "rise",
    "risen": "rise", "spent": "spend", "paid": "pay", "did": "do", "done": "do", "does": "do", "doing": "do",
    "was": "be", "were": "be", "is": "be", "are": "be", "am": "be", "been": "be", "being": "be", "has": "have",
    "had": "have", "having": "have", "began": "begin", "begun": "begin", "took": "take", "taken": "take",
    "made": "make",
    "gave": "give", "given": "give", "sank": "sink", "sunk": "sink", "grew": "grow", "grown": "grow", "lost": "lose",
    "held": "hold", "kept": "keep", "left": "leave", "said": "say", "told": "tell", "ran": "run", "shown": "show",
    "brought": "bring", "sent": "send", "built": "build", "thrown": "throw", "threw": "throw", "froze": "freeze",
    "frozen": "freeze", "shut": "shut", "got": "get", "gotten": "get", "came": "come", "chose": "choose",
    "undid": "undo", "undone": "undo", "learnt": "learn", "burnt": "burn", "broke": "break", "broken": "break",
    "happening": "happen", "worse": "worse", "worst": "worse", "better": "better", "us": "us", "this": "this",
    "less": "less", "yes": "yes", "as": "as", "its": "its", "his": "his", "always": "always", "pass": "pass",
    "status": "status", "process": "process", "address": "address", "progress": "progress", "news": "news",
    "subjects": "subject", "thing": "thing", "things": "thing", "everything": "everything", "anything": "anything",
    "nothing": "nothing", "something": "something", "during": "during", "morning": "morning", "evening": "evening",
    "bring": "bring", "king": "king", "need": "need", "speed": "speed", "feed": "feed",
    "proceed": "proceed", "across": "across",
    "guess": "guess", "regress": "regress", "ease": "eas", "eased": "eas", "using": "use",
}  # fmt: skip


# The stem of *have*, *has* and *had*.
HAVE = "hav"
# Names whose stems are too short to tell a slip by.
WHOLE = (
    *("development", "production", "staging"),
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
)
# Of all slips at a keyboard this one is the most common.
EXCHANGED = 0.9


@dataclass(frozen=True)
class Word:
    """A word with its stem; `place` counts from 0, `clause` says in which part of the sentence it stands.

    `guessed` is set where the stem is that of the nearest word that is known, as for a slip of the fingers.
    """

    text: str
    stem: str
    place: int
    clause: int = 0
    guessed: bool = False


@cache
def stem(word: str) -> str:
    """Return what the inflections of a word have in common; it need not be a word itself."""
    if word in _IRREGULAR:
        return _plain(_IRREGULAR[word])
    if not word.isascii() or len(word) < 4:
        return word
    for ending in ("ings", "ing", "ied", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            root = word[: -len(ending)] + ("y" if ending in ("ied", "ies") else "")
            return _plain(root)
    return _plain(word)


def _plain(root: str) -> str:
    if len(root) > 3 and root[-1] == root[-2] and root[-1] in "bdglmnprt":
        root = root[:-1]
    return root[:-1] if len(root) > 3 and root.endswith("e") else root


def normalised(text: str) -> str:
    """Return the sentence in one case and form, without what cannot be seen, contractions written out; of a text that
    is `too_long` the beginning.
    """
    said = _visible(text)[:MOST_CHARACTERS].casefold()
    said = said.replace("\u2019", "'").replace("\u02bc", "'")
    for pattern, written in _CONTRACTIONS:
        said = re.sub(pattern, written, said)
    return " ".join(said.split())


def too_long(text: str) -> bool:
    """Whether a text is longer than what is read of it: its end may take back what its beginning says."""
    return len(text) > _MOST_LOOKED_AT or len(_visible(text)) > MOST_CHARACTERS


def _visible(text: str) -> str:
    """Return a text without what cannot be seen, its lines parted by full stops, with single blanks."""
    lines = unicodedata.normalize("NFKC", cleaned(text[:_MOST_LOOKED_AT])).split("\n")
    return " . ".join(flat for line in lines if (flat := " ".join(line.split())))


_BREAKS = frozenset({",", ";", ":", ".", "!", "?"})
_JOINTS = frozenset({"but", "then", "and", "although", "though", "while", "however", "ale", "але", "also"})


def words(text: str) -> tuple[Word, ...]:
    """Return the words of a normalised sentence, marks left out, each with the number of its clause."""
    found: list[Word] = []
    clause = 0
    for token in _TOKEN.findall(text):
        if token in _BREAKS:
            clause += 1
            continue
        if token in _JOINTS:
            clause += 1
        for part in _parts(token):
            found.append(Word(text=part, stem=stem(part), place=len(found), clause=clause))
    return tuple(found)


def _parts(token: str) -> list[str]:
    """A word with hyphens is its parts, but for what is one word however it is written."""
    if token.startswith(("si_", "ap_", "gold/")) or token[:1].isdigit():
        return [token.replace(" ", "")]
    for joined, written in _ONE.items():
        if token == joined:
            return [written]
    return [part for part in re.split(r"[-/&]", token) if part]


_ONE = {
    "re-ranker": "reranker", "re-rankers": "reranker", "re-ranking": "reranking", "re-train": "retrain",
    "re-training": "retraining", "roll-back": "rollback", "roll-backs": "rollback", "a-b": "ab",
    "kill-switch": "killswitch", "re-enable": "enable", "re-start": "restart", "e-mail": "email",
    "re-run": "rerun", "sign-off": "signoff", "sign-offs": "signoff", "un-pause": "unpause",
    "de-activate": "deactivate",
    "re-fit": "refit", "re-open": "reopen", "post-mortem": "postmortem", "write-up": "writeup",
    "pre-prod": "preprod", "half-life": "halflife", "roll-out": "rollout", "go-ahead": "goahead",
}  # fmt: skip


def mended(said: Sequence[Word], known: Collection[str], common: Collection[str]) -> tuple[Word, ...]:
    """Return the words, each that nobody knows replaced by the one known word it is nearest to, where there is one.

    Near is one slip (a letter more, less, other, or two exchanged), two in words of nine letters and more, with the
    first letter right. Optimal string alignment: G. Navarro, A Guided Tour to Approximate String Matching, 2001.
    """
    ready = {stem(word) for word in common}
    return tuple(_mended(word, known, ready) for word in said)


def _mended(word: Word, known: Collection[str], common: Collection[str]) -> Word:
    plain = word.text.isalpha() and len(word.text) >= 4
    if not plain or word.stem in known or word.stem in common or word.text in common:
        return word
    every = tuple(sorted(known))
    near = _nearest(word.text, WHOLE) or _nearest(word.stem, every) or _nearest(word.text, every)
    return replace(word, text=near, stem=stem(near) if near in WHOLE else near, guessed=True) if near else word


@cache
def _nearest(root: str, known: tuple[str, ...]) -> str:
    allowed = 2 if len(root) >= 8 else 1
    found = [
        (away, each)
        for each in known
        if len(each) >= 4 and each[0] == root[0] and abs(len(each) - len(root)) <= allowed
        for away in (distance(root, each),)
        if away <= allowed
    ]
    if not found:
        return ""
    least = min(found)[0]
    nearest = [each for away, each in found if away == least]
    return nearest[0] if len(nearest) == 1 else ""


def distance(one: str, other: str) -> float:
    """Return how many slips make one word of another; two letters exchanged are the likeliest slip."""
    before: list[float] = []
    last: list[float] = []
    row: list[float] = [float(j) for j in range(len(other) + 1)]
    for i, a in enumerate(one, start=1):
        last, before, row = before, row, [float(i)]
        for j, b in enumerate(other, start=1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, last[j - 2] + EXCHANGED)
            row.append(best)
    return row[-1]
