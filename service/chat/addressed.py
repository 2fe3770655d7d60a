"""Which target a sentence is about, where one Evercrew looks after several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# What stands before a name, in the languages that are heard: "of ads", "for the target ads", "dla ads".
_BEFORE = r"(?:\b(?:on|of|for|in|at|about|to|with|na|dla|w|o|на|для|в|у|про)\s+)?(?:\bthe\s+)?(?:\btarget\s+)?"  # noqa: RUF001
_AFTER = r"(?:['’]s?)?(?:\s+target\b)?"  # noqa: RUF001
# What takes a name out of what is said: before it in its part of the sentence, behind it, or between the parts.
_OUT_BEFORE = re.compile(
    r"\b(?:but|except\w*|exclud\w*|save|without|not|never|no|unlike|than|instead|besides|apart|aside|leave|spare|skip"
    r"|keep|other|others|rest|like|as|since|because|hold|nie|bez|oprócz|wyjątkiem|prócz|не|без|крім|окрім)\b|n['’]t\b",  # noqa: RUF001
    re.IGNORECASE,
)
_OUT_BEHIND = re.compile(
    r"^\s*(?:is|was|are|were|has|had)\b"
    r"|\b(?:except\w*|exclud\w*|aside|apart|exempt\w*|out|others?|rest|stays?|untouched|as it is|not)\b",
    re.IGNORECASE,
)
_PARTS = re.compile(r"[,;:.!?()]+|\b(?:and|or|but|while|whereas|a|ale|i|але|та)\b", re.IGNORECASE)
_AGAINST = re.compile(r"\b(?:but|while|whereas|or|ale|але)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Addressed:
    """A sentence without the names of targets, and the names.

    `left_out` says whether it may speak of all but one, `of_model` is the sentence with the target's model in the place
    of its name, for *retrain ads*.
    """

    text: str
    names: tuple[str, ...] = ()
    left_out: bool = False
    of_model: str = ""

    @property
    def target(self) -> str:
        """The one it names; empty where it names none, or several."""
        return self.names[0] if len(self.names) == 1 else ""


def addressed(text: str, targets: Sequence[str]) -> Addressed:
    """Return which targets a sentence names, each as a word of its own, in whatever case."""
    names: list[str] = []
    rest, of_model, left_out = text, text, False
    for target in targets:
        word = rf"(?<![\w-]){re.escape(target)}(?![\w-])"
        found = list(re.finditer(word, text, re.IGNORECASE))
        if found:
            names.append(target)
            left_out = left_out or any(_left_out(text, each.start(), each.end()) for each in found)
            rest = re.sub(rf"{_BEFORE}{word}{_AFTER}", " ", rest, flags=re.IGNORECASE)
            of_model = re.sub(word, "the re-ranker", of_model, flags=re.IGNORECASE)
    return Addressed(" ".join(rest.split()), tuple(names), left_out, of_model) if names else Addressed(text)


def _left_out(text: str, start: int, end: int) -> bool:
    """Whether a name may be taken out of what is said, by its own part of the sentence or the word before that part."""
    marks = list(_PARTS.finditer(text))
    before = [mark for mark in marks if mark.end() <= start]
    behind = [mark for mark in marks if mark.start() >= end]
    opens = before[-1].end() if before else 0
    closes = behind[0].start() if behind else len(text)
    joined = before and _AGAINST.search(before[-1][0])
    return bool(joined or _OUT_BEFORE.search(text[opens:start]) or _OUT_BEHIND.search(text[end:closes]))
