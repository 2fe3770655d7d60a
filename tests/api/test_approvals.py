"""Approvals over HTTP: what is shown before a decision, and whose word counts."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from domain.approval import ApprovalState
from service.api.serving import Serving
from tests.api.conftest import Clients, good, notes, problem
from tests.support.serving import DIGEST

PLACE = "/api/v1/approvals"
VOTE = "approval_vote"


def waiting(client: TestClient) -> dict[str, Any]:
    """Return the request that waits, as a whole."""
    [row] = good(client.get(PLACE))["items"]
    return good(client.get(f"{PLACE}/{row['id']}"))


def vote(client: TestClient, shown: dict[str, Any], answer: str = "approve", **more: str) -> Any:
    return client.post(f"{PLACE}/{shown['id']}/votes", json={"answer": answer, "seen": shown["seen"], **more})


def test_what_waits_is_shown_with_the_change_the_evidence_and_the_price(clients: Clients) -> None:
    shown = waiting(clients("viewer"))
    assert (shown["tool"], shown["state"], shown["need"], shown["have"]) == ("promote", "waiting", 1, 0)
    assert f"+  digest: {DIGEST}" in shown["diff"]
    assert shown["price"]["usd"] >= 0
    assert shown["missing"] == []
    again = clients("viewer").get(f"{PLACE}/{shown['id']}")
    tag = {"If-None-Match": again.headers["etag"]}
    assert clients("viewer").get(f"{PLACE}/{shown['id']}", headers=tag).status_code == 304


def test_a_persons_word_opens_exactly_this_call_and_is_on_record_with_what_was_seen(
    recorded: Serving, clients: Clients
) -> None:
    shown = waiting(clients("approver"))
    after = good(vote(clients("approver"), shown, reason="it looks right"))
    assert (after["state"], after["have"]) == ("granted", 1)
    assert good(clients("viewer").get(PLACE))["items"][0]["state"] == "granted"
    found = good(clients("viewer").get(f"{PLACE}/{shown['id']}"))
    [word] = found["votes"]
    assert (word["person"], word["how"], word["counts"], word["seen"]) == ("Bob", "session", True, shown["seen"])
    [(actor, body)] = notes(recorded, VOTE)
    assert (actor, body["approval"], body["vote"]["seen"]) == ("Bob", shown["id"], shown["seen"])


def test_a_denial_says_why_and_ends_it(recorded: Serving, clients: Clients) -> None:
    approver = clients("approver")
    shown = waiting(approver)
    assert problem(vote(approver, shown, "deny"), 422)["field"] == "reason"
    assert good(vote(approver, shown, "deny", reason="not on a Friday"))["state"] == "denied"
    assert "cannot be voted on" in problem(vote(clients("admin"), shown), 409)["detail"]
    assert good(approver.get(PLACE))["items"] == []
    [row] = good(approver.get(f"{PLACE}?all=true"))["items"]
    assert row["state"] == ApprovalState.DENIED.value


def test_a_word_on_another_change_than_the_present_one_is_refused(recorded: Serving, clients: Clients) -> None:
    approver, vcs = clients("approver"), recorded.app.ports.vcs
    shown = waiting(approver)
    push: Any = vcs
    push.push_from_outside(vcs.read(vcs.head()).replace("mode: balanced", "mode: fast"), "somebody was faster")
    told = problem(vote(approver, shown), 409)
    assert (told["field"], told["type"]) == ("seen", "urn:evercrew:problem:changed")
    assert notes(recorded, VOTE) == []
    good(vote(approver, waiting(approver)))


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_does_not_approve_has_no_vote(recorded: Serving, clients: Clients, role: str) -> None:
    shown = waiting(clients(role))
    problem(vote(clients(role), shown), 403)
    assert notes(recorded, VOTE) == []


def test_a_machine_has_no_vote(recorded: Serving, clients: Clients) -> None:
    from domain.access import AccessRole, Caller

    keeper = recorded.access.keeper
    account, _ = keeper.add("robot", [AccessRole.APPROVER], by="set-up", machine=True)
    by = Caller(name="robot", roles=account.roles, via="local")
    from datetime import timedelta

    _, token = keeper.give_token(account, "", ["vote", "view"], timedelta(days=1), by=by)
    shown = waiting(clients("viewer"))
    answer = clients("viewer").post(
        f"{PLACE}/{shown['id']}/votes",
        json={"answer": "approve", "seen": shown["seen"]},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code in (403, 422), answer.text
    problem(answer, answer.status_code)
    assert notes(recorded, VOTE) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"answer": "maybe", "seen": "0" * 64}, "answer"),
        ({"answer": "approve"}, "seen"),
        ({"answer": "approve", "seen": "short"}, "seen"),
        ({"answer": "approve", "seen": "0" * 64, "as": "Ann"}, "as"),
    ],
)
def test_a_word_that_is_none_is_refused(bare: Serving, clients: Clients, body: dict[str, str], field: str) -> None:
    place = f"{PLACE}/ap_{'0' * 24}/votes"
    assert problem(clients("approver").post(place, json=body), 422)["field"] == field
    assert notes(bare, VOTE) == []


def test_there_is_no_other_request(bare: Serving, clients: Clients) -> None:
    assert good(clients("viewer").get(PLACE)) == {"items": [], "next": None}
    problem(clients("viewer").get(f"{PLACE}/ap_{'0' * 24}"), 404)
    assert problem(clients("viewer").get(f"{PLACE}/ap_1"), 422)["field"] == "identity"
