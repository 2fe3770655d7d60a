"""Which of several ways of speaking a sentence is: learned from examples.

A linear support vector machine, one against the rest, over words of one and two and over runs of three and four letters
(Joachims, "Text categorization with support vector machines", ECML 1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_REGULARISATION = 0.5


class Phrasing:
    """Learns labels from sentences, and says how well each label fits another sentence.

    Args:
        told: the sentences, words parted by spaces.
        labels: the label of each, as a number from 0 on without gaps; at least three different ones.
    """

    def __init__(self, told: Sequence[str], labels: Sequence[int]) -> None:
        self._fitted = _machine().fit(list(told), list(labels))

    def values(self, sentence: str) -> tuple[float, ...]:
        """Return the decision value of each label, the higher the better it fits."""
        return tuple(float(value) for value in self._fitted.decision_function([sentence])[0])


def _machine() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    stems = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True)
    machine = LinearSVC(C=_REGULARISATION, class_weight="balanced", random_state=0)
    return make_pipeline(make_union(stems, letters), machine)
