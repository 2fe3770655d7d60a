"""Confirmed orders go through the same inbox, engine, door, ballot and switchboard as everybody's."""

from __future__ import annotations

import pytest

from cycles.intake import take_turn
from cycles.wishes import held_back
from domain.approval import VoteAnswer
from domain.intent import Approve
from domain.wish import Wish
from service.api.serving import Serving
from tests.chat.talking import caller, desk_on, heard, proposed

DORA, ANN, BOB = caller("Dora"), caller("Ann"), caller("Bob")


def confirmed(serving: Serving, who: object, sentence: str) -> dict[str, list[object]]:
    desk = desk_on(serving)
    talk, found = proposed(desk, who, sentence)  # type: ignore[arg-type]
    return heard(desk.confirm(who, talk, found.proposal_id))  # type: ignore[arg-type]


def waiting(serving: Serving) -> str:
    (request,) = serving.app.office.consent.store.requests(waiting_at=serving.clock.now())
    return request.id


def test_a_cycle_is_opened_through_the_inbox_with_its_bounds_on_it(empty: Serving) -> None:
    done = confirmed(empty, DORA, "retrain the re-ranker on the new subjects but do not promote")
    assert "accepted and on disk" in done["did"][0].what  # type: ignore[attr-defined]
    assert not empty.app.ports.store.cycles()
    turn = take_turn(empty.app.inbox, empty.clock)
    assert turn is not None
    cycle = empty.app.ports.store.cycle(turn.opened[0])
    assert cycle is not None
    wish = Wish.of(cycle.alert)
    assert wish is not None
    assert (wish.by, wish.action, wish.do_not_promote, wish.new_subjects) == ("Dora", "retrain", True, True)
    assert held_back(cycle)


def test_whoever_opened_a_cycle_by_chat_is_among_its_proposers(empty: Serving) -> None:
    confirmed(empty, ANN, "look into the latency")
    turn = take_turn(empty.app.inbox, empty.clock)
    assert turn is not None
    assert "Ann" in empty.app.office.consent.rules.opened_by(turn.opened[0])


def test_while_a_cycle_works_on_the_target_no_other_is_proposed(seen: Serving) -> None:
    found = heard(desk_on(seen).ask(DORA, "", "retrain the re-ranker but do not promote"))
    assert "si_2026_01_01_005 works on search" in found["refused"][0].reason


def test_an_approver_votes_and_an_operator_does_not(served: Serving) -> None:
    identity = waiting(served)
    assert "refused" in heard(desk_on(served).ask(DORA, "", f"approve {identity}"))
    done = confirmed(served, BOB, f"approve {identity}")
    request = served.app.office.consent.store.request(identity)
    assert request is not None
    assert [(vote.person, vote.answer) for vote in request.votes] == [("Bob", VoteAnswer.APPROVE)]
    assert "voted approve" in done["did"][0].what  # type: ignore[attr-defined]


def test_the_beginning_of_an_identity_becomes_the_identity_before_it_is_shown(seen: Serving) -> None:
    identity = waiting(seen)
    _, found = proposed(desk_on(seen), BOB, f"approve {identity[:10]}")
    assert found.intent["approval"] == identity
    assert found.irreversible


def test_nobody_approves_by_chat_what_they_proposed(served: Serving) -> None:
    store = served.app.office.consent.store
    request = store.request(waiting(served))
    assert request is not None
    mine = request.model_copy(update={"proposers": (*request.proposers, "Ann")})
    desk = desk_on(served)
    kept = served.app.office.consent

    class Proposed:
        """The store, as it would be had Ann opened the cycle."""

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def request(self, identity: str) -> object:
            return mine if identity == mine.id else None

    kept.store = Proposed()  # type: ignore[assignment]
    found = heard(desk.ask(ANN, "", f"approve {mine.id}"))
    kept.store = store
    assert "proposes" not in found
    assert "proposed" in found["refused"][0].reason


def test_a_machine_does_not_vote(seen: Serving) -> None:
    robot = caller("Ann", person=None)
    found = heard(desk_on(seen).ask(robot, "", f"approve {waiting(seen)}"))
    assert "proposes" not in found
    assert found["refused"]


def test_a_denial_says_why(served: Serving) -> None:
    identity = waiting(served)
    without = heard(desk_on(served).ask(BOB, "", f"deny {identity}"))
    assert "a denial says why" in without["refused"][0].reason
    confirmed(served, BOB, f"deny {identity} because it is Friday")
    request = served.app.office.consent.store.request(identity)
    assert request is not None
    assert request.denial is not None
    assert request.denial.reason == "it is friday"


def test_a_cycle_is_cancelled(served: Serving) -> None:
    done = confirmed(served, DORA, "cancel si_2026_01_01_006")
    cycle = served.app.ports.store.cycle("si_2026_01_01_006")
    assert cycle is not None
    assert cycle.cancel_requested
    assert done["did"][0].cycle_id == "si_2026_01_01_006"  # type: ignore[attr-defined]


def test_a_cycle_that_has_ended_is_not_cancelled(seen: Serving) -> None:
    assert "has ended" in heard(desk_on(seen).ask(DORA, "", "cancel si_2026_01_01_001"))["refused"][0].reason


def test_where_no_cycles_run_a_cycle_is_not_resumed(served: Serving) -> None:
    done = confirmed(served, DORA, "resume si_2026_01_01_006")
    assert "this process works no cycles" in done["refused"][0].reason  # type: ignore[attr-defined]


def test_a_flag_is_set_and_a_gate_overridden_by_an_admin(served: Serving) -> None:
    confirmed(served, ANN, "switch auto rollback off in dev")
    row = next(r for r in served.app.ports.store.flags() if r.name == "auto_rollback")
    assert (row.enabled, row.environment, row.details["by"]) == (False, "dev", "Ann")
    confirmed(served, ANN, "override the ndcg gate to 0.01 in dev for two hours")
    book = served.app.office.rulebook
    assert book is not None
    (over,) = book.in_force()
    assert (over.name, over.threshold, over.by) == ("ndcg_at_10", 0.01, "Ann")


def test_the_switch_that_was_thrown_is_lifted_by_an_admin(served: Serving) -> None:
    confirmed(served, DORA, "stop everything in dev")
    done = confirmed(served, ANN, "start again in dev")
    assert "started" in done["did"][0].what  # type: ignore[attr-defined]
    assert not [r for r in served.app.ports.store.flags() if r.enabled and r.name == "kill_switch"]


def test_a_rollback_is_bound_to_the_revision_it_was_shown_with(served: Serving) -> None:
    for cycle in served.app.ports.store.cycles(open_only=True):
        served.app.ports.store.save(cycle.model_copy(update={"target": f"not-{cycle.target}"}))
    _, found = proposed(desk_on(served), DORA, "roll back dev to gold")
    assert found.intent["to"]["how"] == "version"
    assert found.intent["to"]["value"][:12] in found.shown
    assert found.irreversible


def test_a_rollback_of_another_environment_is_refused_here(seen: Serving) -> None:
    found = heard(desk_on(seen).ask(DORA, "", "roll back production to gold"))
    assert "looks after dev" in found["refused"][0].reason


@pytest.mark.parametrize("identity", ["ap_ffffffffffffffffffffffff", "ap_0000"])
def test_a_request_that_is_not_there_is_not_voted_on(seen: Serving, identity: str) -> None:
    assert Approve(approval=identity).approval == identity
    assert "begins 0 requests" in heard(desk_on(seen).ask(BOB, "", f"approve {identity}"))["refused"][0].reason
