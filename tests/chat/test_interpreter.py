"""The playbook reads what operators say, asks back where it is not sure, and reads no order nobody gave."""

from __future__ import annotations

from typing import Any

import pytest

from agents.operator.interpreter import Interpreter
from domain.intent import Kind, is_write, kind_of
from evals.intents import NOW, Mark, made, read, rows

INTERPRETER = Interpreter()


def got(sentence: str) -> dict[str, Any]:
    reading = INTERPRETER.read(sentence, NOW)
    assert reading.intent is not None, reading
    return reading.intent.model_dump(mode="json", exclude_none=True)


def asks_back(sentence: str) -> str:
    reading = INTERPRETER.read(sentence, NOW)
    assert reading.intent is None, reading.intent
    return reading.why


@pytest.mark.parametrize("row", rows("tuned"), ids=lambda row: row.say)
def test_a_sentence_it_was_tuned_on_is_read_rightly(row: Any) -> None:
    assert read(row, INTERPRETER).mark is Mark.RIGHT


@pytest.mark.parametrize("name", ["wider", "strangers_a", "strangers_b", "paraphrases"])
def test_of_sentences_in_other_words_nine_in_ten_are_right_and_no_order_is_wrong(name: str) -> None:
    found = [read(row, INTERPRETER) for row in rows(name)]
    assert not [each for each in found if each.mark is Mark.WRONG_WRITE]
    assert sum(each.mark is Mark.RIGHT for each in found) >= 0.9 * len(found)


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("would you mind bringing si_2026_03_12_001 to an end?", {"kind": "cancel", "cycle": "si_2026_03_12_001"}),
        ("production should be stopped", {"kind": "stop", "environment": "production"}),
        ("stop all in staging please, it is dangerous now", {"kind": "stop", "environment": "staging"}),
        ("please don't cancel si_2026_03_12_001, just show it", {"kind": "show_cycle", "cycle": "si_2026_03_12_001"}),
        ("how do I stop everything in production?", {"kind": "help"}),
        ("is staging still stopped?", {"kind": "status", "environment": "staging"}),
    ],
)
def test_courtesies_passives_and_remarks_change_nothing_of_what_is_said(sentence: str, wanted: dict[str, Any]) -> None:
    assert got(sentence) == wanted


@pytest.mark.parametrize("row", rows("no_orders"), ids=lambda row: row.say)
def test_what_is_no_order_is_never_read_as_one(row: Any) -> None:
    assert read(row, INTERPRETER).mark is Mark.RIGHT


def test_of_a_thousand_generated_sentences_nine_in_ten_are_right_and_no_order_is_wrong() -> None:
    found = [read(row, INTERPRETER) for row in made(1000, seed=11)]
    assert not [each for each in found if each.mark is Mark.WRONG_WRITE]
    assert sum(each.mark is Mark.RIGHT for each in found) >= 900


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("zatrzymaj wszystko w produkcji", Kind.STOP),
        ("зупини все в production", Kind.STOP),
        ("co się stało wczoraj?", Kind.HISTORY),
        ("чому впав ndcg вчора?", Kind.EXPLAIN),
    ],
)
def test_common_words_of_polish_and_ukrainian_are_known(sentence: str, kind: Kind) -> None:
    assert got(sentence)["kind"] == kind.value


@pytest.mark.parametrize(
    "sentence",
    [
        "stop everything in production",
        "STOP EVERYTHING IN PRODUCTION!",
        "please stop everything in prod",
        "stpo everything in production",
    ],
)
def test_case_politeness_and_a_slip_change_nothing(sentence: str) -> None:
    assert got(sentence) == {"kind": "stop", "environment": "production"}


def test_a_bound_on_an_order_is_part_of_it() -> None:
    found = got("retrain the re-ranker on the new subjects but do not promote")
    assert (found["do_not_promote"], found["new_subjects"], found["model"]) == (True, True, "reranker")
    assert got("look into the latency but change nothing")["only_diagnose"] is True


def test_the_model_is_the_one_there_is() -> None:
    assert got("retrain the model") == got("retrain the re-ranker")
    assert "not all of it was understood" in asks_back("retrain the embedding model")


@pytest.mark.parametrize(
    "said", ["do not stop production", "don't roll back staging to gold", "never cancel si_2026_03_12_001"]
)
def test_what_is_not_to_be_done_is_not_read_and_not_left_to_a_model(said: str) -> None:
    reading = INTERPRETER.read(said, NOW)
    assert reading.intent is None
    assert reading.final


@pytest.mark.parametrize(
    ("sentence", "lacks"),
    [("roll back staging", "to"), ("override the ndcg gate to 0.02 in staging", "hours"), ("investigate", "signal")],
)
def test_a_slot_that_is_missing_is_asked_for(sentence: str, lacks: str) -> None:
    assert lacks in INTERPRETER.read(sentence, NOW).missing


def test_two_orders_in_one_sentence_are_asked_back() -> None:
    assert asks_back("cancel si_2026_03_12_001 and approve ap_0123456789abcdef01234567")
    assert asks_back("stop production and roll back staging to gold")


def test_an_order_with_words_nobody_understands_is_asked_back() -> None:
    assert asks_back("stop everything in production with the gizmo frobnicator")


def test_an_order_that_is_read_is_of_the_kind_that_was_given() -> None:
    reading = INTERPRETER.read("cancel si_2026_03_12_001", NOW)
    assert reading.intent is not None
    assert is_write(reading.intent)
    assert kind_of(reading.intent) is Kind.CANCEL


def test_an_endless_sentence_is_read_no_further_than_its_beginning() -> None:
    assert asks_back("why " * 100_000 + "stop everything in production")


@pytest.mark.parametrize("sentence", ["", "   ", "?!", "\u200b\u202e", "😀😀"])
def test_nothing_said_is_nothing_read(sentence: str) -> None:
    assert asks_back(sentence)
