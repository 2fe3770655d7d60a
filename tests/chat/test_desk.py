"""The desk answers from the record, cites what resolves, proposes orders, and lets nobody do what is not theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.conversations.memory import MemoryConversations
from domain.access import ApiAction, Caller
from domain.clock import FrozenClock
from domain.decision import Answer, Decision
from domain.errors import AuditUnavailable, InvalidInput
from domain.receipt import AuditEntry, AuditRecord
from policies.flags import KILL_SWITCH
from service.api.serving import Serving
from service.chat.desk import LASTS
from tests.chat.talking import caller, desk_on, heard, proposed, said

DORA, ANN, CEM, BOB = caller("Dora"), caller("Ann"), caller("Cem"), caller("Bob")
QUESTIONS = (
    "why did ndcg drop?",
    "how is dev?",
    "why did it roll back?",
    "what would it cost?",
    "what have we spent this week?",
    "what waits for me?",
    "what happened today?",
    "list open cycles",
    "show si_2026_01_01_003",
    "what would it do if latency doubled?",
    "may it promote in production on its own?",
    "weekly report",
    "report for si_2026_01_01_003",
    "help",
)


def killed(serving: Serving) -> bool:
    return any(row.name == KILL_SWITCH and row.enabled for row in serving.app.ports.store.flags())


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_viewer_gets_an_answer_to_every_question(seen: Serving, question: str) -> None:
    found = heard(desk_on(seen).ask(CEM, "", question))
    assert found["said"]
    assert found["done"][0].source == "playbook"
    assert not {"proposes", "did", "refused", "asks_back"} & set(found)


@pytest.mark.parametrize("question", QUESTIONS)
def test_everything_that_is_cited_resolves(seen: Serving, question: str) -> None:
    app = seen.app
    for event in heard(desk_on(seen).ask(CEM, "", question)).get("cites", []):
        for cite in event.cites:
            match cite.kind:
                case "cycle":
                    assert app.ports.store.cycle(cite.id) is not None
                case "approval":
                    assert app.office.consent.store.request(cite.id) is not None
                case "record":
                    assert cite.id in {str(r.sequence) for r in app.audit.records(cite.of)}
                case "call":
                    assert cite.id in {r.place for r in app.ports.store.recordings(cite.of)}
                case "artifact":
                    assert (app.office.artifacts.root / cite.of / cite.id).is_file()
                case "account":
                    assert app.office.purse is not None
                    assert app.office.purse.ledger.account(cite.id) is not None
                case _:
                    assert cite.kind == "policy"
                    assert cite.of == app.policies.policy_hash


def test_the_numbers_of_an_answer_are_those_of_the_record(seen: Serving) -> None:
    cycle = seen.app.ports.store.cycle("si_2026_01_01_003")
    assert cycle is not None
    reading = cycle.facts["snapshot"]["readings"]["ndcg_at_10"]
    told = said(desk_on(seen).ask(CEM, "", "show si_2026_01_01_003"))
    assert f"{reading['current']:.4g} against {reading['baseline']:.4g}" in told


def test_what_is_not_on_record_is_said_to_be_not_known(empty: Serving) -> None:
    desk = desk_on(empty)
    assert "not known" in said(desk.ask(CEM, "", "why did ndcg drop last night?"))
    assert "not known" in said(desk.ask(CEM, "", "what would it cost?"))
    assert "si_2026_01_01_009 is not a cycle" in heard(desk.ask(CEM, "", "show si_2026_01_01_009"))["refused"][0].reason
    assert "nothing is known here" in said(desk.ask(CEM, "", "how is production?"))


def test_an_order_is_shown_back_and_nothing_happens_before_it_is_confirmed(served: Serving) -> None:
    desk = desk_on(served)
    talk, found = proposed(desk, DORA, "stop everything in dev")
    assert found.intent == {"kind": "stop", "environment": "dev"}
    assert "kill switch" in found.shown
    assert not killed(served)
    done = heard(desk.confirm(DORA, talk, found.proposal_id))
    assert done["did"]
    assert killed(served)


def test_who_confirmed_what_is_on_record_before_it_is_done(served: Serving) -> None:
    desk = desk_on(served)
    talk, found = proposed(desk, DORA, "stop everything in dev")
    heard(desk.confirm(DORA, talk, found.proposal_id))
    (note,) = served.app.audit.records(talk)
    assert (note.entry.status, note.entry.actor) == ("chat_confirmed", "Dora")
    assert note.entry.args_hash == found.args_hash
    after = [r for r in served.app.audit.records("") if r.entry.status == "kill_on"]
    assert after[-1].sequence > note.sequence


def test_a_proposal_is_confirmed_once(served: Serving) -> None:
    desk = desk_on(served)
    talk, found = proposed(desk, DORA, "stop everything in dev")
    assert "did" in heard(desk.confirm(DORA, talk, found.proposal_id))
    again = heard(desk.confirm(DORA, talk, found.proposal_id))
    assert "did" not in again
    assert "is confirmed" in again["refused"][0].reason


def test_a_proposal_expires(served: Serving) -> None:
    desk = desk_on(served)
    talk, found = proposed(desk, DORA, "stop everything in dev")
    assert isinstance(served.clock, FrozenClock)
    served.clock.advance(LASTS)
    late = heard(desk.confirm(DORA, talk, found.proposal_id))
    assert "is expired" in late["refused"][0].reason
    assert not killed(served)


def test_nobody_confirms_what_was_proposed_to_somebody_else(served: Serving) -> None:
    desk = desk_on(served)
    talk, found = proposed(desk, DORA, "stop everything in dev")
    with pytest.raises(InvalidInput, match="no conversation"):
        desk.confirm(ANN, talk, found.proposal_id)
    other = heard(desk.ask(DORA, "", "help"))["done"][0].conversation_id
    with pytest.raises(InvalidInput, match="no proposal"):
        desk.confirm(DORA, other, found.proposal_id)
    assert not killed(served)


def test_nobody_reads_or_goes_on_with_the_conversation_of_another(seen: Serving) -> None:
    desk = desk_on(seen)
    talk = heard(desk.ask(DORA, "", "help"))["done"][0].conversation_id
    with pytest.raises(InvalidInput):
        desk.ask(ANN, talk, "help")
    with pytest.raises(InvalidInput):
        desk.conversation(talk, ANN)
    assert [message.who for message in desk.conversation(talk, DORA)] == ["caller", "evercrew"]
    assert [found.id for found in desk.conversations(DORA)] == [talk]


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        (CEM, "stop everything in dev"),
        (BOB, "stop everything in dev"),
        (DORA, "start again in dev"),
        (DORA, "switch auto promote off in dev"),
        (DORA, "override the ndcg gate to 0.01 in dev for two hours"),
        (CEM, "retrain the re-ranker"),
        (CEM, "cancel si_2026_01_01_006"),
    ],
)
def test_what_a_role_may_not_is_not_even_proposed(seen: Serving, who: Caller, sentence: str) -> None:
    found = heard(desk_on(seen).ask(who, "", sentence))
    assert "proposes" not in found
    assert found["refused"][0].remedy


def test_a_token_without_the_scope_proposes_nothing(seen: Serving) -> None:
    narrow = caller("Dora", scopes=frozenset({"view", "chat"}))
    assert "refused" in heard(desk_on(seen).ask(narrow, "", "stop everything in dev"))


def test_a_right_that_was_taken_away_meanwhile_confirms_nothing(served: Serving) -> None:
    desk = desk_on(served)
    talk, found = proposed(desk, DORA, "stop everything in dev")
    fallen = caller("Dora", roles=CEM.roles)
    assert "refused" in heard(desk.confirm(fallen, talk, found.proposal_id))
    assert not killed(served)


class _Shut:
    """A guard that gives no answer."""

    def allowed(self, caller: Caller, action: ApiAction) -> Decision:
        return Decision(answer=Answer.DENY, reason="the policy set is broken")


def test_without_an_answer_of_the_guard_nothing_is_answered_or_proposed(served: Serving) -> None:
    shut: Any = Serving(app=served.app, access=_Shut())  # type: ignore[arg-type]
    found = heard(desk_on(shut).ask(ANN, "", "how is dev?"))
    assert set(found) == {"refused"}


def test_a_row_that_somebody_altered_is_not_acted_on(served: Serving) -> None:
    kept = MemoryConversations()
    desk = desk_on(served, conversations=kept)
    talk, found = proposed(desk, DORA, "stop everything in dev")
    row = kept.proposal(found.proposal_id)
    assert row is not None
    kept._proposals[row.id] = row.model_copy(update={"expires_at": row.expires_at + timedelta(days=9)})
    assert "not what was proposed" in heard(desk.confirm(DORA, talk, found.proposal_id))["refused"][0].reason
    assert not killed(served)


class _Deaf:
    """A chain that takes nothing."""

    def append(self, entry: AuditEntry) -> AuditRecord:
        raise AuditUnavailable("the disk is full")


def test_what_cannot_be_put_on_record_is_not_done(served: Serving) -> None:
    deaf: Any = _Deaf()
    desk = desk_on(replace(served, app=replace(served.app, audit=deaf)))
    talk, found = proposed(desk, DORA, "stop everything in dev")
    answer = heard(desk.confirm(DORA, talk, found.proposal_id))
    assert "did" not in answer
    assert "disk is full" in answer["refused"][0].reason
    assert not killed(served)


def test_what_is_not_clear_is_asked_back_with_the_readings(seen: Serving) -> None:
    found = heard(desk_on(seen).ask(DORA, "", "stop"))
    assert found["asks_back"][0].options[0].intent["kind"] == "stop"
    missing = heard(desk_on(seen).ask(DORA, "", "roll back dev"))
    assert "gold, a day, or a revision" in missing["asks_back"][0].question


def test_an_answer_nobody_heard_to_its_end_is_kept_as_far_as_it_came(seen: Serving) -> None:
    desk = desk_on(seen)
    events = desk.ask(DORA, "", "how is dev?")
    next(events)
    events.close()  # type: ignore[attr-defined]
    (talk,) = desk.conversations(DORA)
    assert len(desk.conversation(talk.id)[-1].events) == 1
