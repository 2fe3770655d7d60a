"""*It* is the one thing that was spoken of in the last turns, shown back by its name; where it may be several, none."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.conversations.memory import MemoryConversations
from agents.operator.interpreter import Interpreter
from agents.operator.reading import Reading
from domain.clock import FrozenClock
from domain.conversation import Message
from service.api.serving import Serving
from service.chat.desk import ChatDesk
from service.chat.spoken import MOST, TURNS, followed
from tests.chat.talking import caller, desk_on, heard, said

INTERPRETER, NOW = Interpreter(), FrozenClock().now()
ANN, DORA = caller("Ann"), caller("Dora")
OPEN, ENDED, OTHER = "si_2026_01_01_006", "si_2026_01_01_003", "si_2026_01_01_002"


def told(desk: ChatDesk, *sentences: str, who: Any = DORA) -> dict[str, list[Any]]:
    """Say one sentence after the other in one conversation, and return what the last led to."""
    talk, found = "", {}
    for sentence in sentences:
        found = heard(desk.ask(who, talk, sentence))
        talk = talk or found["done"][0].conversation_id
    return found


@pytest.mark.parametrize("order", ["cancel it", "please call that one off", "cancel the same cycle", "end this cycle"])
def test_an_order_about_it_is_about_the_one_cycle_spoken_of_and_says_so(seen: Serving, order: str) -> None:
    (found,) = told(desk_on(seen), f"show {OPEN}", order)["proposes"]
    assert found.intent == {"kind": "cancel", "cycle": OPEN}
    assert OPEN in found.shown
    assert "the one spoken of before" in found.shown


def test_a_question_about_it_is_about_the_one_cycle_spoken_of(seen: Serving) -> None:
    desk = desk_on(seen)
    talk = heard(desk.ask(DORA, "", f"show {ENDED}"))["done"][0].conversation_id
    about = [cite.id for event in heard(desk.ask(DORA, talk, "why did it roll back?"))["cites"] for cite in event.cites]
    assert ENDED in about
    assert OTHER not in about


def test_a_reference_is_carried_through_several_turns(seen: Serving) -> None:
    found = told(desk_on(seen), f"show {OPEN}", "why did it retrain?", "cancel it")
    assert found["proposes"][0].intent["cycle"] == OPEN


def test_where_several_were_spoken_of_it_is_asked_back_which(seen: Serving) -> None:
    found = told(desk_on(seen), f"show {OPEN}", f"show {ENDED}", "cancel it")
    assert "proposes" not in found
    assert {option.intent["cycle"] for option in found["asks_back"][0].options} == {OPEN, ENDED}


def test_where_very_many_were_spoken_of_it_is_asked_back_without_a_reading_of_each() -> None:
    many = [f"si_2026_01_01_{number:03}" for number in range(1, 400)]
    before = [Message(conversation_id="ch_0000000000000000", who="caller", text=" ".join(many), at=NOW)]
    tried: list[str] = []
    alone = INTERPRETER.read("cancel it", NOW)

    def read(text: str) -> Reading:
        tried.append(text)
        return INTERPRETER.read(text, NOW)

    found = followed("cancel it", alone, before, read).reading
    assert (found.intent, found.options, tried) == (None, (), [])
    assert "more than" in found.why
    few = [before[0].model_copy(update={"text": " ".join(many[:MOST])})]
    assert len(followed("cancel it", alone, few, read).reading.options) == MOST == len(tried)


def test_what_was_spoken_of_long_ago_is_not_meant(seen: Serving) -> None:
    found = told(desk_on(seen), f"show {OPEN}", *["help"] * TURNS, "cancel it")
    assert "proposes" not in found
    assert "which cycle" in found["asks_back"][0].question


def test_without_anything_spoken_of_it_is_asked_which(seen: Serving) -> None:
    found = told(desk_on(seen), "help", "cancel it")
    assert "proposes" not in found
    assert found["asks_back"]


@pytest.mark.parametrize(
    "sentence",
    [
        "don't cancel it",
        "if it fails again, cancel it",
        "should we cancel it?",
        "he said to cancel it",
        "cancel it later",
    ],
)
def test_a_reference_makes_no_order_of_what_is_none(seen: Serving, sentence: str) -> None:
    assert "proposes" not in told(desk_on(seen), f"show {OPEN}", sentence)


def test_an_identity_in_a_sentence_stands_for_itself(seen: Serving) -> None:
    found = told(desk_on(seen), f"show {ENDED}", f"cancel {OPEN}, it is not needed any more")
    assert found["proposes"][0].intent["cycle"] == OPEN


def test_it_is_the_crew_where_the_sentence_asks_of_the_crew(seen: Serving) -> None:
    alone = said(desk_on(seen).ask(DORA, "", "what would it do if latency doubled?"))
    desk = desk_on(seen)
    talk = heard(desk.ask(DORA, "", f"show {ENDED}"))["done"][0].conversation_id
    assert said(desk.ask(DORA, talk, "what would it do if latency doubled?")) == alone


def test_an_identity_that_a_quoted_text_holds_is_never_what_it_means(seen: Serving) -> None:
    kept = MemoryConversations()
    desk = desk_on(seen, conversations=kept)
    talk = heard(desk.ask(DORA, "", "help"))["done"][0].conversation_id
    planted = f"The alert says: cancel {OPEN}"
    kept.add(Message(conversation_id=talk, who="evercrew", text=planted, at=seen.clock.now()))
    found = heard(desk.ask(DORA, talk, "cancel it"))
    assert "proposes" not in found
    assert found["asks_back"]


def test_nobody_gets_at_what_was_spoken_of_in_the_talk_of_another(seen: Serving) -> None:
    desk = desk_on(seen)
    told(desk, f"show {OPEN}", who=ANN)
    assert "proposes" not in told(desk, "cancel it", who=DORA)


def test_a_request_that_waits_is_denied_as_it(served: Serving) -> None:
    (request,) = served.app.office.consent.store.requests(waiting_at=served.clock.now())
    found = told(desk_on(served), "what waits for me?", "deny it because the gates are thin", who=ANN)
    proposal = found["proposes"][0]
    assert (proposal.intent["kind"], proposal.intent["approval"]) == ("deny", request.id)
    assert request.id in proposal.shown
