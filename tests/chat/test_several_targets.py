"""Several targets at one chat: a sentence goes to the target it names, and a confirmation to where it was proposed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.conversations.memory import MemoryConversations
from cycles.intake import take_turn
from domain.errors import DependencyUnavailable, InvalidInput
from domain.intent import OpenCycle
from service.api.serving import Serving
from service.chat.addressed import addressed
from service.chat.desk import Chat
from service.chat.making import chat_desk_of
from service.chat.several import SeveralDesks
from tests.chat.talking import caller, desk_on, heard, said
from tests.support.several import with_others

DORA = caller("Dora")
ANN = caller("Ann")
NAMES = ("search", "ads", "mail")


@pytest.fixture
def several(empty: Serving) -> Serving:
    made = with_others(empty)
    routing = replace(made.app.routing, targets=NAMES)
    return replace(made, app=replace(made.app, routing=routing))


@pytest.fixture
def chat(several: Serving) -> Chat:
    return chat_desk_of(
        several.app, several.access, conversations=MemoryConversations(), orchestrator=None, runs_cycles=False
    )


@pytest.mark.parametrize(
    ("sentence", "names", "rest"),
    [
        ("why did nDCG of ads drop?", ("ads",), "why did nDCG drop?"),
        ("Roll back ADS to gold", ("ads",), "Roll back to gold"),
        ("retrain the re-ranker for the target ads", ("ads",), "retrain the re-ranker"),
        ("pokaż stan dla ads", ("ads",), "pokaż stan"),
        ("roll back badads to gold", (), "roll back badads to gold"),
        ("what about ads-eu?", (), "what about ads-eu?"),
        ("compare ads and search", ("search", "ads"), "compare and"),
    ],
)
def test_a_target_is_named_as_a_word_of_its_own(sentence: str, names: tuple[str, ...], rest: str) -> None:
    found = addressed(sentence, ("search", "ads"))
    assert (found.names, found.text) == (names, rest)
    assert found.target == (names[0] if len(names) == 1 else "")


@pytest.mark.parametrize(
    "sentence",
    [
        "retrain everything but ads",
        "retrain all except for ads",
        "retrain the others than ads",
        "leave ads alone and retrain the model",
        "retrain the model, not ads",
        "retrain everything, ads excluded",
        "retrain all but the model of ads",
        "retrain the model, but leave the one of ads alone",
        "ads stays as it is, retrain the model",
        "don't touch the model of ads, retrain it elsewhere",
        "hold ads back and retrain the model",
        "ads is fine, retrain the re-ranker",
        "retrain the re-ranker as we did on ads",
        "retrain the re-ranker since ads is broken too",
    ],
)
def test_a_name_that_is_taken_out_is_no_address(chat: Chat, sentence: str) -> None:
    assert addressed(sentence, ("search", "ads")).left_out
    assert "proposes" not in heard(chat.ask(DORA, "", sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "retrain ads but do not promote",
        "retrain ads, and keep it a candidate",
        "retrain the model of ads without promoting",
        "retrain ads alone",
    ],
)
def test_a_bound_behind_the_name_takes_nothing_out(sentence: str) -> None:
    assert not addressed(sentence, ("search", "ads")).left_out


@pytest.mark.parametrize(
    ("sentence", "target"),
    [("retrain ads", "ads"), ("retrain the re-ranker of ads", "ads"), ("retrain the re-ranker", "search")],
)
def test_an_order_is_bound_to_the_target_that_it_names_and_shows_it(
    chat: Chat, several: Serving, sentence: str, target: str
) -> None:
    found = heard(chat.ask(DORA, "", sentence))
    (proposed,) = found["proposes"]
    assert proposed.intent["target"] == target
    assert f"target {target} in" in proposed.shown
    talk = found["done"][0].conversation_id
    done = heard(chat.confirm(DORA, talk, proposed.proposal_id))
    assert "accepted and on disk" in done["did"][0].what
    turn = take_turn(several.app.inbox, several.clock)
    assert turn is not None
    assert [several.app.ports.store.cycle(one).target for one in turn.opened] == [target]  # type: ignore[union-attr]


def test_an_order_for_all_targets_is_not_limited_to_one(chat: Chat) -> None:
    for sentence in ("stop everything for ads", "switch auto promote off for ads"):
        found = heard(chat.ask(ANN, "", sentence))
        assert "proposes" not in found
        assert "cannot be limited to ads" in found["refused"][0].reason


def test_what_names_two_targets_or_leaves_one_out_is_asked_back(chat: Chat) -> None:
    for sentence in ("retrain the re-ranker of ads and search", "retrain the re-ranker, but not ads"):
        found = heard(chat.ask(DORA, "", sentence))
        assert "proposes" not in found
        assert "Nothing was done" in found["asks_back"][0].question


def test_a_question_about_a_target_is_answered(chat: Chat) -> None:
    assert "is not stopped" in said(chat.ask(DORA, "", "how is ads?"))


def test_a_target_that_cannot_be_opened_says_so(chat: Chat) -> None:
    with pytest.raises(DependencyUnavailable, match=r"targets\.mail"):
        list(chat.ask(DORA, "", "retrain the re-ranker of mail"))


def test_a_confirmation_of_a_target_that_is_gone_does_nothing(several: Serving) -> None:
    kept = MemoryConversations()
    chat = chat_desk_of(several.app, several.access, conversations=kept, orchestrator=None, runs_cycles=False)
    found = heard(chat.ask(DORA, "", "retrain the re-ranker of ads"))
    talk, proposed = found["done"][0].conversation_id, found["proposes"][0].proposal_id
    first = desk_on(several, conversations=kept)
    fewer = SeveralDesks(first, ("search",), lambda name: pytest.fail(name), kept)
    with pytest.raises(InvalidInput, match="about ads"):
        list(fewer.confirm(DORA, talk, proposed))
    alone = heard(first.confirm(DORA, talk, proposed))
    assert "did" not in alone
    assert "about ads, which is not cared for here" in alone["refused"][0].reason


def test_one_target_is_not_spoken_of(empty: Serving) -> None:
    chat = chat_desk_of(empty.app, empty.access, conversations=MemoryConversations(), orchestrator=None)
    (proposed,) = heard(chat.ask(DORA, "", "retrain the re-ranker"))["proposes"]
    assert "target" not in proposed.intent


def test_a_cycle_of_another_target_is_not_ended_for_the_one_that_is_named(served: Serving) -> None:
    several = with_others(served)
    chat = chat_desk_of(several.app, several.access, conversations=MemoryConversations(), orchestrator=None)
    cycle = next(c for c in served.app.ports.store.cycles(open_only=True) if c.target == "search")
    wrong = heard(chat.ask(DORA, "", f"cancel {cycle.id} of ads"))
    assert "proposes" not in wrong
    assert f"it is about {cycle.target}, not ads" in wrong["refused"][0].reason
    (right,) = heard(chat.ask(DORA, "", f"cancel {cycle.id} of {cycle.target}"))["proposes"]
    assert f"({cycle.target})" in right.shown


def test_an_order_that_names_no_target_hashes_as_it_always_did() -> None:
    plain = OpenCycle(action="retrain", model="reranker")
    assert "target" not in plain.model_dump()
    assert plain.model_copy(update={"target": "ads"}).model_dump()["target"] == "ads"
