"""What a model wrote, held against what it read: a sentence whose figures or identities nobody gave it is taken out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_IDENTITY = re.compile(r"\b(?:si_\d{4}_\d{2}_\d{2}_\d{3,6}|ap_[0-9a-f]{4,24})\b")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?Z?)?|\b\d{1,2}:\d{2}\b")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?\s?%?(?!\w)")
_ENUMERATED = re.compile(r"^\s*\d{1,2}[.)]\s+")


def kept(text: str, evidence: Sequence[str], resolves: Callable[[str], bool]) -> tuple[list[str], int]:
    """Return the sentences that rest on the evidence, and how many others there were.

    A figure rests on it when it is a number of the evidence as it stands, rounded, or as a percentage; a moment when it
    stands there; an identity when it resolves.
    """
    numbers = [value for part in evidence for value in _numbers(part)]
    whole = "\n".join(evidence)
    sentences = [part.strip() for part in _SENTENCE.split(text) if part.strip()]
    good = [s for s in sentences if _rests(s, numbers, whole, resolves)]
    return good, len(sentences) - len(good)


def identities(text: str) -> list[str]:
    """Return the identities that a text names, each once."""
    return list(dict.fromkeys(_IDENTITY.findall(text)))


def _rests(sentence: str, numbers: Sequence[float], whole: str, resolves: Callable[[str], bool]) -> bool:
    if not all(resolves(identity) for identity in identities(sentence)):
        return False
    plain = _IDENTITY.sub(" ", _ENUMERATED.sub("", sentence))
    if not all(_said(moment, whole) for moment in _MOMENT.findall(plain)):
        return False
    return all(_supported(figure, numbers) for figure in _NUMBER.findall(_MOMENT.sub(" ", plain)))


def _said(moment: str, whole: str) -> bool:
    return moment.rstrip("Z").replace("T", " ") in whole.replace("T", " ")


def _numbers(text: str) -> list[float]:
    plain = _MOMENT.sub(" ", _IDENTITY.sub(" ", text))
    found = re.findall(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", plain)
    return [float(number) for number in found]


def _supported(figure: str, numbers: Sequence[float]) -> bool:
    share = figure.endswith("%")
    plain = figure.rstrip("% ").replace(",", "")
    places = len(plain.partition(".")[2])
    value = abs(float(plain))
    scales = (100.0, 1.0) if share else (1.0,)
    return any(
        abs(round(abs(known) * scale, places) - value) < 10 ** -(places + 6) for known in numbers for scale in scales
    )
