"""Ways of speaking are learned from examples, the same way every time."""

from __future__ import annotations

import json

import pytest

from learning.phrasing import Phrasing, learned

TOLD = ("stop it all", "halt the crew", "stop now", "how is it", "how are things", "how goes it", "what did it cost")
LABELS = (0, 0, 0, 1, 1, 1, 2)


@pytest.fixture(scope="module")
def phrasing() -> Phrasing:
    return learned(TOLD, LABELS)


def test_a_sentence_is_most_like_those_that_are_put_alike(phrasing: Phrasing) -> None:
    values = phrasing.values("how is the crew")
    assert max(range(3), key=values.__getitem__) == 1


def test_what_is_learned_is_the_same_every_time(phrasing: Phrasing) -> None:
    assert learned(TOLD, LABELS) == phrasing


def test_letters_tell_where_a_word_has_a_slip(phrasing: Phrasing) -> None:
    values = phrasing.values("stpo stopp")
    assert max(range(3), key=values.__getitem__) == 0


def test_what_was_learned_is_the_same_after_it_was_kept_as_json(phrasing: Phrasing) -> None:
    again = Phrasing.of(json.loads(json.dumps(phrasing.plain())))
    assert again == phrasing
    assert again.values("how is the crew") == phrasing.values("how is the crew")


def test_it_knows_the_words_that_it_was_told_and_no_others(phrasing: Phrasing) -> None:
    assert phrasing.words == {word for told in TOLD for word in told.split()}


def test_of_what_it_was_never_told_it_says_only_where_each_label_begins(phrasing: Phrasing) -> None:
    assert phrasing.values("zzz qqq") == phrasing.bias


def test_a_weight_is_kept_to_less_than_a_hundredth_of_the_largest_of_its_label(phrasing: Phrasing) -> None:
    """The table holds steps: what is rounded away moves no decision that is any further ahead than this."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True)
    machine = LinearSVC(C=0.5, class_weight="balanced", random_state=0)
    whole = make_pipeline(make_union(words, letters), machine).fit(TOLD, LABELS)
    for said in (*TOLD, "how is the crew", "stpo the cost"):
        assert phrasing.values(said) == pytest.approx(list(whole.decision_function([said])[0]), abs=0.02)
