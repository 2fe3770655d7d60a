"""Two readers: what a sentence is most like helps a question, and never makes an order of what holds one back."""

from __future__ import annotations

import pytest

from agents.operator.agreement import agreed
from agents.operator.heard import Heard
from agents.operator.likeness import Likeness, likeness
from agents.operator.names import Vocabulary
from agents.operator.reading import Reading
from domain.intent import Cancel, Kind, OpenCycle, Status, is_write, kind_of
from evals.intents import NOW

VOCABULARY = Vocabulary()
CYCLE = "si_2026_03_10_001"


def like(kind: Kind | None, ahead: float = 2.0, tag: str = "said") -> Likeness:
    return Likeness(kind, tag, ahead, 2.0)


def heard(text: str) -> Heard:
    return Heard(text, VOCABULARY, NOW)


def test_a_question_that_the_grammar_does_not_know_is_what_it_is_clearly_most_like() -> None:
    found = agreed(heard("any gossip about staging"), like(Kind.STATUS), Reading(None))
    assert found.intent == Status(environment="staging")
    assert agreed(heard("any gossip about staging"), like(Kind.STATUS, ahead=0.01), Reading(None)).intent is None


def test_an_order_that_is_more_like_something_else_is_asked_back() -> None:
    grammar = Reading(Cancel(cycle=CYCLE))
    found = agreed(heard(f"cancel {CYCLE}"), like(Kind.WHY), grammar)
    assert found.intent is None
    assert found.options == (grammar.intent,)


def test_a_training_that_is_like_one_with_a_bound_is_asked_back_without_it() -> None:
    grammar = Reading(OpenCycle(action="retrain", model="reranker"))
    assert agreed(heard("retrain the ranker"), like(Kind.OPEN, tag="held"), grammar).intent is None
    assert agreed(heard("retrain the ranker"), like(Kind.OPEN, tag="free"), grammar) is grammar


def test_what_says_not_to_do_something_stays_so_whatever_it_is_like() -> None:
    final = Reading(None, final=True, why="it says not to cancel")
    assert agreed(heard(f"do not cancel {CYCLE}"), like(Kind.CANCEL), final) is final


@pytest.mark.parametrize(
    "sentence",
    [
        f"if it hangs, zap {CYCLE}",
        f"should we zap {CYCLE}?",
        f"he zapped {CYCLE}",
        f"he said to zap {CYCLE}",
        f"do not zap {CYCLE}",
        f"zap {CYCLE} tomorrow",
        f"zap {CYCLE}, but only its training",
        f"zap the gizmo of {CYCLE}",
    ],
)
def test_no_likeness_makes_an_order_of_what_holds_one_back(sentence: str) -> None:
    found = agreed(heard(sentence), like(Kind.CANCEL), Reading(None))
    assert found.intent is None or not is_write(found.intent)


def test_a_likeness_far_ahead_stands_in_for_the_verb_where_nothing_holds_it_back() -> None:
    found = agreed(heard(f"zap {CYCLE}"), like(Kind.CANCEL), Reading(None))
    assert found.intent is not None
    assert kind_of(found.intent) is Kind.CANCEL


def test_a_verb_that_nobody_knows_is_no_order_of_itself() -> None:
    found = agreed(heard(f"zap {CYCLE}"), like(Kind.CANCEL, ahead=0.2), Reading(None))
    assert found.intent is None


def test_a_training_whose_verb_is_not_known_is_read_with_a_bound_only() -> None:
    assert agreed(heard("give the ranker a spin"), like(Kind.OPEN, tag="free"), Reading(None)).intent is None


def test_a_plain_question_is_like_its_kind() -> None:
    assert likeness("how is staging doing?", VOCABULARY).kind is Kind.STATUS
