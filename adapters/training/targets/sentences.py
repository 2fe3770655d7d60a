"""Sentences of a text with their places, and which of them say most: TextRank and nearness to the centre."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# An abbreviation of one letter ("e.g. ", "J. ") ends no sentence.
_END = re.compile(r"(?<=[.!?])(?<!\b\w\.)[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9\u00c0-\u00de])|\n\s*\n+")
_DAMPING, _ROUNDS, _CLOSE = 0.85, 100, 1e-6


@dataclass(frozen=True)
class Sentence:
    """A sentence and where it stands: characters `start` to `end` of the text."""

    text: str
    start: int
    end: int


def sentences_of(text: str) -> list[Sentence]:
    """Return the sentences of a text, in order, without the white space around them."""
    found, start = [], 0
    for end, following in [*((m.start(), m.end()) for m in _END.finditer(text)), (len(text), len(text))]:
        piece = text[start:end]
        lead = len(piece) - len(piece.lstrip())
        if piece.strip():
            stripped = piece.strip()
            found.append(Sentence(stripped, start + lead, start + lead + len(stripped)))
        start = following
    return found


def textrank(similarity: Floats) -> Floats:
    """Return the weight of each sentence by its likeness to the others (Mihalcea and Tarau 2004).

    `similarity` is (n x n), not negative; its diagonal is ignored. A sentence like no other gives its weight to all.
    """
    links = similarity - np.diag(np.diag(similarity))
    totals = links.sum(axis=1, keepdims=True)
    steps = np.divide(links, totals, out=np.full_like(links, 1 / max(len(links), 1)), where=totals > 0)
    ranks = np.full(len(links), 1 / max(len(links), 1))
    for _ in range(_ROUNDS):
        following = (1 - _DAMPING) / len(links) + _DAMPING * ranks @ steps
        if np.abs(following - ranks).sum() < _CLOSE:
            break
        ranks = following
    return ranks


def centrality(vectors: Floats) -> Floats:
    """Return the cosine of each sentence's vector (n x words) to the mean of all (Radev et al. 2004)."""
    middle = vectors.mean(axis=0)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(middle)
    weights: Floats = np.divide(vectors @ middle, lengths, out=np.zeros(len(vectors)), where=lengths > 0)
    return weights


def rouge_1(told: str, wanted: str) -> float:
    """Return the F-measure of words in common (ROUGE-1; Lin 2004), 0-1."""
    first, second = (_words(text) for text in (told, wanted))
    common = sum(min(first.count(word), second.count(word)) for word in set(first))
    return 2 * common / (len(first) + len(second)) if first or second else 0.0


def _words(text: str) -> Sequence[str]:
    return re.findall(r"\w+", text.lower())
