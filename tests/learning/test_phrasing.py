"""Ways of speaking are learned from examples, the same way every time."""

from __future__ import annotations

from learning.phrasing import Phrasing

TOLD = ("stop it all", "halt the crew", "stop now", "how is it", "how are things", "how goes it", "what did it cost")
LABELS = (0, 0, 0, 1, 1, 1, 2)


def test_a_sentence_is_most_like_those_that_are_put_alike() -> None:
    values = Phrasing(TOLD, LABELS).values("how is the crew")
    assert max(range(3), key=values.__getitem__) == 1


def test_what_is_learned_is_the_same_every_time() -> None:
    assert Phrasing(TOLD, LABELS).values("stop things") == Phrasing(TOLD, LABELS).values("stop things")


def test_letters_tell_where_a_word_has_a_slip() -> None:
    values = Phrasing(TOLD, LABELS).values("stpo stopp")
    assert max(range(3), key=values.__getitem__) == 0
