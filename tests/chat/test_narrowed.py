"""What bounds a training beside its promotion: a price is kept, what was not understood narrows it or is asked back."""

from __future__ import annotations

from typing import Any

import pytest

from agents.operator.heard import Heard
from agents.operator.interpreter import Interpreter
from agents.operator.orders import ORDERS
from agents.operator.questions import QUESTIONS
from domain.intent import WRITES, Kind, OpenCycle, is_write
from evals.intents import NOW
from service.api.serving import Serving
from tests.chat.talking import caller, desk_on, heard, proposed

INTERPRETER = Interpreter()
DORA = caller("Dora")
PRICED = (
    ("retrain the ranker with at most 20 dollars and do not promote", 20.0),
    ("retrain the ranker on the new subjects, spend no more than $20", 20.0),
    ("retrain the ranker, do not spend more than 3.50 dollars, no promotion", 3.5),
    ("retrain the ranker on the new subjects, 20 usd max", 20.0),
    ("retrain the ranker for less than $5, no promotion", 5.0),
)
# For a part, for a while, in a measure or a place that no order holds.
UNHELD = (
    *("retrain the ranker on the old subjects but do not promote", "retrain the ranker on cooking but do not promote"),
    "retrain the ranker on everything except the new subjects but do not promote",
    "retrain the ranker without the new subjects, do not promote",
    *("retrain the ranker on half of the data and don't promote", "retrain the ranker for two hours, no promotion"),
    "retrain the ranker but do not promote and use max 2 hours",
    "retrain the ranker, it must cost at least 20 dollars, no promotion",
    *("retrain the other model but do not promote", "retrain the ranker in staging but do not promote"),
    "retrain the ranker with at most 20 dollars, under 5 dollars, no promotion",
)
NARROWED = (
    *("retrain the ranker and show me the result first", "retrain the ranker and wait for me"),
    *("retrain the ranker, promotion is my business", "retrain the ranker and await my approval"),
    *("retrain the ranker, promotion = off", "retrain the ranker but only on paper"),
)
# Like an order with a bound, and none.
NONE = (
    *("stop retraining the ranker and keep it offline", "the plan: retrain the ranker, keep it offline"),
    *(
        "retrain the ranker or leave it at that",
        "retrain the ranker and put it live",
        "retrain the ranker with promotion",
    ),
    *("retrain the ranker and release it quietly", "retrain the ranker, promotion as usual"),
    "retrain the ranker on the new subjects but do not forget to promote",
    *("don't retrain, diagnose the ndcg drop", "looking into recall, no retraining needed"),
)
# Whoever says so does it themselves.
ANNOUNCED = (
    *("I will stop everything in production", "I'll roll back staging to Tuesday", "we will cancel si_2026_03_12_001"),
    *("I will approve ap_0123456789abcdef01234567", "we shall retrain the ranker, no promotion"),
)


def order(said: str) -> Any:
    intent = INTERPRETER.read(said, NOW).intent
    return intent if intent is not None and is_write(intent) else None


@pytest.mark.parametrize(("said", "price"), PRICED)
def test_a_price_is_kept(said: str, price: float) -> None:
    assert order(said).at_most_usd == price


@pytest.mark.parametrize("said", UNHELD)
def test_a_bound_that_no_order_holds_is_asked_back(said: str) -> None:
    assert order(said) is None


@pytest.mark.parametrize("said", NARROWED)
def test_a_training_whose_bound_was_not_understood_makes_a_candidate_and_nothing_else(said: str) -> None:
    assert order(said) == OpenCycle(action="retrain", model="reranker", do_not_promote=True)


@pytest.mark.parametrize("said", ["look into recall, don't retrain", "look into recall and tell me what you find"])
def test_what_is_looked_into_is_left_alone(said: str) -> None:
    assert order(said) == OpenCycle(action="diagnose", signal="recall_at_20", only_diagnose=True)


@pytest.mark.parametrize("said", [*NONE, *ANNOUNCED])
def test_what_is_only_like_an_order_is_none(said: str) -> None:
    assert order(said) is None


def test_what_is_needed_of_it_is_ordered_though_one_says_i_will() -> None:
    assert order("I will need everything in production stopped") is not None


def test_numbers_that_say_how_a_signal_moved_bound_nothing() -> None:
    assert order("ndcg fell by 5 % over two hours, retrain the ranker but do not promote").do_not_promote


def test_only_the_new_subjects_is_what_a_training_is_aimed_at() -> None:
    assert order("retrain the ranker only on the new subjects but do not promote").new_subjects


def test_a_price_that_every_cycle_keeps_is_proposed(empty: Serving) -> None:
    limit = empty.app.profile.budget.cycle_usd
    _, found = proposed(desk_on(empty), DORA, f"retrain the ranker with at most {limit + 1:g} dollars, no promotion")
    assert f"for at most {limit + 1:g} USD" in found.shown


def test_a_price_below_what_a_cycle_may_cost_is_refused_with_what_to_do(empty: Serving) -> None:
    limit = empty.app.profile.budget.cycle_usd
    said = f"retrain the ranker with at most {limit / 2:g} dollars, no promotion"
    (refused,) = heard(desk_on(empty).ask(DORA, "", said))["refused"]
    assert f"a cycle may cost {limit:g} USD here" in refused.reason
    assert "budget.cycle_usd" in refused.remedy
    assert refused.remedy not in refused.reason


def test_every_kind_has_one_reading_of_its_own_kind() -> None:
    assert ORDERS.keys() == WRITES.keys()
    assert QUESTIONS.keys() == {*Kind} - WRITES.keys()
    said = Heard("how is it", INTERPRETER.vocabulary, NOW)
    assert all(read(said).kind is kind for kind, read in {**ORDERS, **QUESTIONS}.items())
