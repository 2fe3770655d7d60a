"""Several targets at one chat: the desk of a further target answers from its own cycles, the first's from all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from domain.cycle import Cycle
from domain.intent import Explain
from service.api.serving import Serving
from service.chat.answers import Answers
from service.chat.desk import ChatDesk
from service.chat.events import ChatEvent
from tests.chat.talking import caller, desk_on, heard, said
from tests.support.several import with_others

DORA = caller("Dora")


class Noting:
    """Specialists that say nothing, and keep which cycle they were given."""

    def __init__(self) -> None:
        self.given: list[Cycle | None] = []

    def work(self, _talk: Any, _intent: Explain, _text: str, cycle: Cycle | None) -> Iterator[ChatEvent]:
        self.given.append(cycle)
        return iter(())


def _ads(seen: Serving) -> Serving:
    several = with_others(seen)
    return replace(several, app=several.app.at("ads"))


def _of(seen: Serving, target: str) -> list[str]:
    return [cycle.id for cycle in seen.app.ports.store.cycles() if cycle.target == target]


@pytest.fixture
def ads(seen: Serving) -> ChatDesk:
    return desk_on(_ads(seen))


@pytest.fixture
def first(seen: Serving) -> ChatDesk:
    return desk_on(with_others(seen))


def _cited(desk: ChatDesk, sentence: str) -> set[str]:
    events = heard(desk.ask(DORA, "", sentence)).get("cites", [])
    return {cite.id for event in events for cite in event.cites if cite.kind == "cycle"}


@pytest.mark.parametrize("sentence", ["list all cycles", "what happened today", "the weekly report"])
def test_what_is_listed_is_of_the_desks_own_target_and_at_the_first_of_all(
    seen: Serving, ads: ChatDesk, first: ChatDesk, sentence: str
) -> None:
    assert _cited(ads, sentence) == set(_of(seen, "ads"))
    assert _cited(first, sentence) == {cycle.id for cycle in seen.app.ports.store.cycles()}


def test_a_drop_of_one_target_is_not_explained_with_a_cycle_of_another(ads: ChatDesk, first: ChatDesk) -> None:
    told = said(ads.ask(DORA, "", "why did nDCG drop?"))
    assert "no cycle looked into ndcg_at_10 of ads" in told
    assert "Diagnosis" not in told
    assert "Diagnosis" in said(first.ask(DORA, "", "why did nDCG drop?"))


def test_why_it_did_something_is_answered_with_a_cycle_of_its_own(ads: ChatDesk, first: ChatDesk) -> None:
    assert "no cycle of ads did that" in said(ads.ask(DORA, "", "why did it roll back?"))
    assert "on search (dev), retrain, rolled back" in said(first.ask(DORA, "", "why did it roll back?"))


def test_how_it_stands_counts_the_open_cycles_of_its_own(seen: Serving, ads: ChatDesk) -> None:
    told = said(ads.ask(DORA, "", "how is it?"))
    assert "Open: 1 cycle of ads." in told
    assert "on search" not in told


def test_one_target_alone_is_answered_about_as_ever(seen: Serving) -> None:
    known = Answers(seen.app).about(Explain(signal=None))
    assert {cycle.target for cycle in known} == {"search", "ads"}


def test_the_specialists_are_given_a_cycle_of_the_desks_own_target(seen: Serving) -> None:
    noting: Any = Noting()
    for serving in (with_others(seen), _ads(seen)):
        list(desk_on(serving, specialists=noting).ask(DORA, "", "why did latency rise?"))
        list(desk_on(serving, specialists=noting).ask(DORA, "", "why did nDCG drop?"))
    given = [cycle.target if cycle is not None else None for cycle in noting.given]
    assert given == [None, "search", "ads", None]
