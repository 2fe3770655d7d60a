"""Which of several ways of speaking a sentence is: learned from examples.

A linear support vector machine, one against the rest, over words of one and two and over runs of three and four letters
(Joachims, "Text categorization with support vector machines", ECML 1998), each weighed by how few sentences have it
(1 + ln count, times ln((1 + n) / (1 + n with it)) + 1, to unit length).

To learn takes scikit-learn and seconds. What was learned is a table of small numbers that can be kept as plain JSON;
to read a sentence with it takes neither.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise
from math import log, sqrt
from typing import Any

_REGULARISATION = 0.5
_RUNS = (3, 4)
# Steps of a weight: it is kept as a number of them, from -127 to 127.
_STEPS = 127


@dataclass(frozen=True)
class Phrasing:
    """What was learned of some sentences.

    Attributes:
        told: how many sentences.
        signs: words and pairs of words, and runs of letters; each with its row and how many sentences have it.
        weights: a row of steps for each sign, a column for each label.
        steps: how much a step is, by label.
        bias: where each label begins.
    """

    told: int
    signs: tuple[Mapping[str, tuple[int, int]], ...]
    weights: bytes
    steps: tuple[float, ...]
    bias: tuple[float, ...]

    def values(self, sentence: str) -> tuple[float, ...]:
        """Return the decision value of each label, the higher the better it fits."""
        sums = [0.0] * len(self.steps)
        for sign, weight in _weighed(sentence, self.signs, self.told):
            for label, step in enumerate(self._rows[sign * len(sums) : (sign + 1) * len(sums)]):
                sums[label] += weight * step
        return tuple(b + step * each for b, step, each in zip(self.bias, self.steps, sums, strict=True))

    @cached_property
    def words(self) -> frozenset[str]:
        """The words that some sentence has."""
        return frozenset(sign for sign in self.signs[0] if " " not in sign)

    @cached_property
    def _rows(self) -> memoryview:
        return memoryview(self.weights).cast("b")

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "told": self.told,
            "steps": list(self.steps),
            "bias": list(self.bias),
            "signs": [_packed("\n".join(kind).encode()) for kind in self.signs],
            "having": [_packed(" ".join(str(having) for _, having in kind.values()).encode()) for kind in self.signs],
            "weights": _packed(self.weights),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Phrasing:
        """Return what `plain` was made of."""
        row, signs = count(), []
        for kind, having in zip(plain["signs"], plain["having"], strict=True):
            numbers = map(int, _unpacked(having).split())
            known = zip(_unpacked(kind).decode().split("\n"), numbers, strict=True)
            signs.append({sign: (next(row), number) for sign, number in known})
        weights, steps, bias = _unpacked(plain["weights"]), tuple(plain["steps"]), tuple(plain["bias"])
        return cls(int(plain["told"]), tuple(signs), weights, steps, bias)


def learned(told: Sequence[str], labels: Sequence[int]) -> Phrasing:
    """Learn labels from sentences.

    Args:
        told: the sentences, words parted by spaces.
        labels: the label of each, as a number from 0 on without gaps; at least three different ones.
    """
    import numpy as np
    from scipy.sparse import csr_array
    from sklearn.svm import LinearSVC

    signs = _signs(told)
    found = [dict(_weighed(sentence, signs, len(told))) for sentence in told]
    ends = np.cumsum([0, *(len(each) for each in found)], dtype=np.int32)
    rows = np.fromiter((row for each in found for row in each), dtype=np.int32)
    values = np.fromiter((value for each in found for value in each.values()), dtype=np.float64)
    matrix = csr_array((values, rows, ends), shape=(len(told), sum(map(len, signs))))
    fitted = LinearSVC(C=_REGULARISATION, class_weight="balanced", random_state=0).fit(matrix, list(labels))
    steps = np.abs(fitted.coef_).max(axis=1) / _STEPS
    weights = np.rint(fitted.coef_ / steps[:, None]).astype(np.int8).T.tobytes()
    return Phrasing(len(told), signs, weights, tuple(map(float, steps)), tuple(map(float, fitted.intercept_)))


def _words(sentence: str) -> list[str]:
    said = sentence.split()
    return [*said, *(f"{one} {other}" for one, other in pairwise(said))]


def _letters(sentence: str) -> list[str]:
    padded = [f" {word} " for word in sentence.split()]
    return [word[at : at + run] for word in padded for run in _RUNS for at in range(len(word) - run + 1)]


_KINDS = (_words, _letters)


def _signs(told: Sequence[str]) -> tuple[Mapping[str, tuple[int, int]], ...]:
    """Return what sentences are known by, in the order of the letters."""
    row, found = count(), []
    for kind in _KINDS:
        having = Counter(sign for sentence in told for sign in {*kind(sentence)})
        found.append({sign: (next(row), having[sign]) for sign in sorted(having)})
    return tuple(found)


def _weighed(sentence: str, signs: Sequence[Mapping[str, tuple[int, int]]], told: int) -> Iterator[tuple[int, float]]:
    """Yield the rows of the signs that a sentence has, each with its weight."""
    for kind, known in zip(_KINDS, signs, strict=True):
        counted = Counter(sign for sign in kind(sentence) if sign in known)
        rows = [(*known[sign], times) for sign, times in counted.items()]
        weights = [(row, (1 + log(times)) * (log((1 + told) / (1 + having)) + 1)) for row, having, times in rows]
        length = sqrt(sum(weight * weight for _, weight in weights))
        yield from ((row, weight / length) for row, weight in weights)


def _packed(plain: bytes) -> str:
    return b64encode(zlib.compress(plain, 9)).decode("ascii")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(b64decode(text))
