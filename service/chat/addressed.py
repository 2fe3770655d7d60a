"""Which target a sentence is about, where one Evercrew looks after several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# What stands before a name, in the languages that are heard: "of ads", "for the target ads", "dla ads".
_BEFORE = r"(?:\b(?:on|of|for|in|at|about|to|with|na|dla|w|o|на|для|в|у|про)\s+)?(?:\bthe\s+)?(?:\btarget\s+)?"  # noqa: RUF001
_AFTER = r"(?:['’]s?)?(?:\s+target\b)?"  # noqa: RUF001
# What takes a name out of what is said, where it stands shortly before it.
_OUT = re.compile(
    r"\b(?:but|except|excepting|excluding|save|without|not|never|no|unlike|than|instead|besides|apart|leave|spare|skip"
    r"|nie|bez|oprócz|wyjątkiem|prócz|не|без|крім|окрім)\b(?:\W+\w+){0,2}\W+$",
    re.IGNORECASE,
)


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
            left_out = left_out or any(_OUT.search(text[: each.start()]) for each in found)
            rest = re.sub(rf"{_BEFORE}{word}{_AFTER}", " ", rest, flags=re.IGNORECASE)
            of_model = re.sub(word, "the re-ranker", of_model, flags=re.IGNORECASE)
    return Addressed(" ".join(rest.split()), tuple(names), left_out, of_model) if names else Addressed(text)
