"""A sentence in Polish or Ukrainian: what is plain is understood, what is not is asked back in that language."""

from __future__ import annotations

import pytest

from agents.operator.interpreter import Interpreter
from agents.operator.tongues import excuse, tongue
from domain.intent import Kind, is_write, kind_of
from evals.intents import NOW
from service.api.serving import Serving
from tests.chat.talking import caller, desk_on, heard

INTERPRETER = Interpreter()
NO_ORDERS = (
    *("nie zatrzymuj wszystkiego w produkcji", "zatrzymaliśmy wczoraj wszystko w produkcji"),
    *("może zatrzymaj wszystko w produkcji", "gdyby latency wzrosło, zatrzymaj wszystko w produkcji"),
    *("Anna mówi: zatrzymaj wszystko w produkcji", "zatrzymaj wszystko w produkcji jutro"),
    *("zatrzymaj wszystko oprócz produkcji", "chyba anuluj si_2026_03_12_001", "nie anuluj si_2026_03_12_001"),
    *("przetrenuj re-ranker jutro, ale nie promuj", "przetrenuj re-ranker na starych tematach, ale nie promuj"),
    *("не зупиняй все на проді", "можливо зупини все на проді", "якщо впаде ndcg, зупини все на проді"),
    *("зупини все на проді завтра", "скасуй si_2026_03_12_001 завтра", "вчора ми зупинили все на проді"),
)


@pytest.mark.parametrize("said", NO_ORDERS)
def test_what_is_no_order_in_another_language_is_read_as_none(said: str) -> None:
    intent = INTERPRETER.read(said, NOW).intent
    assert intent is None or not is_write(intent)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("cofnij staging do wtorku", Kind.ROLL_BACK),
        ("відкоти staging до вівторка", Kind.ROLL_BACK),
        ("anuluj si_2026_03_12_001", Kind.CANCEL),
    ],
)
def test_a_plain_order_in_another_language_is_understood(said: str, kind: Kind) -> None:
    intent = INTERPRETER.read(said, NOW).intent
    assert intent is not None
    assert kind_of(intent) is kind


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("co się dzieje?", "polish"),
        ("prosze zatrzymaj to", "polish"),
        ("що відбувається?", "ukrainian"),
        ("why did ndcg drop last night?", ""),
        ("bitte alles stoppen", ""),
    ],
)
def test_a_language_is_known_by_its_letters_and_words(said: str, language: str) -> None:
    assert tongue(said) == language


@pytest.mark.parametrize("said", ["nie wiem co robić", "чи можна це зробити швидше?"])
def test_what_was_not_understood_is_asked_back_in_the_language_it_was_said_in(seen: Serving, said: str) -> None:
    (asked,) = heard(desk_on(seen).ask(caller("Dora"), "", said))["asks_back"]
    assert excuse(said)
    assert asked.question.endswith(excuse(said))
    assert "Nothing was done" in asked.question


def test_english_is_asked_back_in_english(seen: Serving) -> None:
    (asked,) = heard(desk_on(seen).ask(caller("Dora"), "", "blorb the frobnicator"))["asks_back"]
    assert asked.question.endswith("in English.")
