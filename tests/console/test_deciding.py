"""Deciding over HTTP: conflicts in words, and whoever may not decide is told why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cycles.dossier import dossier
from domain.access import AccessRole, Caller
from domain.approval import ApprovalRequest, Proof, Vote, VoteAnswer
from domain.clock import FrozenClock
from service.api.serving import Serving
from service.web.approvals_view import conflict, listed, mine, price_of, reach
from tests.support.serving import client_as, serving_of

BOB = Caller(name="Bob", roles=frozenset({AccessRole.APPROVER, AccessRole.VIEWER}), via="session", person="Bob")


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = serving_of(tmp_path)
    yield made
    made.app.close()


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Return what is served where nobody decides anything."""
    made = serving_of(Path(tmp_path_factory.mktemp("still")))
    yield made
    made.app.close()


def _asked(serving: Serving) -> ApprovalRequest:
    (found,) = serving.app.office.consent.store.requests()
    return found


def _vote(person: str, answer: VoteAnswer, clock: FrozenClock) -> Vote:
    return Vote(person=person, answer=answer, at=clock.now(), reason="r", proof=Proof(how="os_user", who="x"))


def _post(serving: Serving, form: dict[str, str], role: str = "approver") -> Any:
    path = f"/approvals/{_asked(serving).id}"
    return client_as(serving, role).post(path, data=form, follow_redirects=False)


def test_a_vote_by_a_token_is_taken_once_and_bound_to_what_was_seen(serving: Serving) -> None:
    seen = dossier(serving.app.office, _asked(serving)).seen
    stale = _post(serving, {"answer": "approve", "seen": "0" * 64})
    assert (stale.status_code, "not the one you were shown" in stale.text) == (409, True)
    assert _asked(serving).votes == ()
    taken = _post(serving, {"answer": "approve", "seen": seen})
    assert taken.status_code == 303
    again = _post(serving, {"answer": "deny", "reason": "on second thought", "seen": seen})
    assert again.status_code == 303
    assert [vote.answer.value for vote in _asked(serving).votes] == ["deny"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Choose one of the two buttons."),
        ({"answer": "perhaps"}, "Choose one of the two buttons."),
        ({"answer": "deny"}, "Say why in a sentence."),
        ({"answer": "deny", "reason": "  "}, "Say why in a sentence."),
        ({"answer": "approve", "reason": "x" * 2001}, "Use at most 2000."),
    ],
)
def test_what_is_missing_is_said_at_its_field_and_nothing_is_counted(
    still: Serving, form: dict[str, str], said: str
) -> None:
    answer = _post(still, form)
    assert (answer.status_code, said in answer.text) == (422, True)
    assert _asked(still).votes == ()


def test_conflicts_are_said_as_a_person_understands_them(still: Serving) -> None:
    asked, now = _asked(still), still.clock.now()
    clock = FrozenClock(now)
    denied = asked.voted(_vote("Ann", VoteAnswer.DENY, clock))
    granted = asked.voted(_vote("Ann", VoteAnswer.APPROVE, clock))
    used = granted.used("key", now)
    assert used is not None
    cases = [
        (asked, asked.expires_at, "Bob", "expired"),
        (used, now, "Bob", "used already"),
        (denied, now, "Bob", "denied by Ann"),
        (asked.taken_back("over"), now, "Bob", "took this request back"),
        (asked, now, asked.proposers[0], "proposed this yourself"),
        (granted, now, "Ann", "a person counts once"),
    ]
    for request, at, name, said in cases:
        assert said in conflict(request, at, name), said


def test_what_expired_is_history_and_cannot_be_decided(serving: Serving) -> None:
    clock = serving.clock
    assert isinstance(clock, FrozenClock)
    assert len(listed(serving, BOB).mine) == 1
    assert mine(serving, BOB, _asked(serving)).approve
    clock.advance(timedelta(hours=5))
    found = listed(serving, BOB)
    assert (found.mine, found.others, len(found.past)) == ([], [], 1)
    assert mine(serving, BOB, _asked(serving)).why == "It is expired: nothing can be decided any more."


def test_who_approved_may_still_deny_and_who_has_no_role_may_neither(serving: Serving) -> None:
    ballots = serving.app.office.consent.ballots
    ballots.vote(_asked(serving).id, "Bob", VoteAnswer.APPROVE, caller=BOB)
    own = mine(serving, BOB, _asked(serving))
    assert (own.approve, own.deny) == (False, True)
    cem = Caller(name="Cem", roles=frozenset({AccessRole.VIEWER}), via="session", person="Cem")
    other = mine(serving, cem, _asked(serving))
    assert (other.approve, other.deny, other.why) == (False, False, "Your roles do not vote.")


def test_the_reach_of_a_call_follows_from_its_arguments_and_its_change(still: Serving) -> None:
    asked = _asked(still)
    lines = [("added", "+a"), ("removed", "-b"), ("same", " c")]
    promoted = reach(asked, lines)
    assert promoted.whom == "search in dev: everybody who uses it"
    assert promoted.change == "1 added, 1 removed lines of the values file"
    assert promoted.back.startswith("one revert commit")
    bound = asked.binding.model_copy(update={"tool": "ab_start"})
    tested = reach(asked.model_copy(update={"binding": bound, "args": {"share": 0.2}}), [])
    assert (tested.whom, tested.change) == ("search in dev: 20% of the users", "no file")
    gone = reach(asked.model_copy(update={"binding": bound.model_copy(update={"tool": "retire_models_and_data"})}), [])
    assert gone.back == "none: what it removes is gone"


def test_the_price_stands_beside_what_is_left_and_is_said_where_nothing_is_counted(still: Serving) -> None:
    found = dossier(still.app.office, _asked(still))
    assert price_of(still.app, found).said == "$0.00"
    assert "left in this period" in price_of(still.app, found).left
    uncounted = replace(still.app, office=replace(still.app.office, purse=None))
    assert price_of(uncounted, found).left == ""
