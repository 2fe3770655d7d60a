"""What every store of approvals keeps to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.approvals.base import ApprovalsPort
from domain.actor import Actor, Role
from domain.approval import ApprovalRequest, ApprovalState, Binding, Proof, Quorum, Vote, VoteAnswer
from domain.errors import ConflictError, InvalidInput

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CYCLE = "si_2026_01_31_001"


def asked(at: datetime = NOON, need: int = 1, **bound: Any) -> ApprovalRequest:
    """Return a request that lasts an hour."""
    plain = {
        "cycle_id": CYCLE,
        "stage": "promote",
        "tool": "promote",
        "target": "search",
        "environment": "staging",
        "actor": "devops_engineer/stage",
        "args_hash": "a" * 64,
        "policy_hash": "p" * 64,
        "quorum": Quorum(need=need, of=("admin", "ml_lead")),
    }
    return ApprovalRequest(
        binding=Binding(**{**plain, **bound}),
        args={"version": "2", "digest": "sha256:0"},
        actor=Actor(role=Role.DEVOPS_ENGINEER),
        proposers=("devops_engineer/stage", "Olga"),
        reason="a person has to approve this first",
        policies=("permit-promote",),
        key="k-1",
        asked_at=at,
        expires_at=at + HOUR,
    )


def ballot(person: str, answer: str = "approve", at: datetime = NOON, reason: str = "") -> Vote:
    """Return a vote."""
    proof = Proof(how="os_user", who=person.casefold())
    return Vote(person=person, answer=VoteAnswer(answer), at=at, reason=reason, proof=proof)


def at_once(number: int, work: Callable[[int], object]) -> None:
    """Run `work` in so many threads that all begin together."""
    gate = threading.Barrier(number)

    def run(mine: int) -> None:
        gate.wait(60)
        work(mine)

    threads = [threading.Thread(target=run, args=(mine,)) for mine in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


class ApprovalsContract:
    """Inherited by the tests of every store; `approvals` is an empty one."""

    def test_a_request_is_kept_as_it_was_asked(self, approvals: ApprovalsPort) -> None:
        kept = approvals.open(asked())
        assert kept == asked()
        assert approvals.request(kept.id) == kept
        assert approvals.request("ap_unknown") is None

    def test_the_same_call_asked_again_is_the_same_request(self, approvals: ApprovalsPort) -> None:
        first = approvals.open(asked())
        approvals.vote(first.id, ballot("Ann"))
        again = approvals.open(asked(at=NOON + HOUR / 2))
        assert (again.asked_at, len(again.votes)) == (NOON, 1)
        assert len(approvals.requests()) == 1

    @pytest.mark.parametrize(
        "other",
        [
            {"args_hash": "a" * 63 + "b"},
            {"cycle_id": "si_2026_01_31_002"},
            {"tool": "roll_back"},
            {"stage": "ab"},
            {"environment": "production"},
            {"target": "ads"},
            {"actor": "Ann"},
            {"policy_hash": "q" * 64},
            {"quorum": Quorum(need=2, of=("admin", "ml_lead"))},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_another_call_is_another_request(self, approvals: ApprovalsPort, other: dict[str, Any]) -> None:
        first = approvals.open(asked())
        approvals.vote(first.id, ballot("Ann"))
        second = approvals.open(asked(**other))
        assert second.id != first.id
        assert second.state(NOON) is ApprovalState.WAITING
        assert approvals.use(second.id, key="k-1", at=NOON) is None

    def test_a_granted_request_is_used_by_one_key_which_finds_it_again(self, approvals: ApprovalsPort) -> None:
        request = approvals.open(asked())
        assert approvals.use(request.id, key="k-1", at=NOON) is None
        approvals.vote(request.id, ballot("Ann"))
        for _ in range(2):
            used = approvals.use(request.id, key="k-1", at=NOON)
            assert used is not None
            assert (used.used_by, used.used_at, used.state(NOON)) == ("k-1", NOON, ApprovalState.USED)
        assert approvals.use(request.id, key="k-2", at=NOON) is None
        assert [r.id for r in approvals.used_by("k-1")] == [request.id]
        assert list(approvals.used_by("k-2")) == list(approvals.used_by("")) == []

    def test_it_takes_as_many_people_as_were_asked_for(self, approvals: ApprovalsPort) -> None:
        request = approvals.open(asked(need=2))
        approvals.vote(request.id, ballot("Ann"))
        approvals.vote(request.id, ballot("Ann"))
        approvals.vote(request.id, ballot(" ann "))
        assert approvals.use(request.id, key="k-1", at=NOON) is None
        both = approvals.vote(request.id, ballot("Bob"))
        assert [vote.person for vote in both.approving] == ["Ann", "Bob"]
        assert approvals.use(request.id, key="k-1", at=NOON) is not None

    def test_a_denial_ends_it_also_after_an_approval_and_also_by_who_approved(self, approvals: ApprovalsPort) -> None:
        request = approvals.open(asked())
        approvals.vote(request.id, ballot("Ann"))
        denied = approvals.vote(request.id, ballot("Ann", "deny", reason="it is Friday"))
        assert denied.denial is not None
        assert (denied.denial.reason, denied.state(NOON)) == ("it is Friday", ApprovalState.DENIED)
        assert approvals.use(request.id, key="k-1", at=NOON) is None
        with pytest.raises(ConflictError, match="denied"):
            approvals.vote(request.id, ballot("Bob"))
        assert [r.id for r in approvals.denied("search", "staging")] == [request.id]
        assert list(approvals.denied("search", "production")) == []

    def test_whoever_proposed_it_cannot_decide_it(self, approvals: ApprovalsPort) -> None:
        request = approvals.open(asked())
        for name in ("Olga", " OLGA", "devops_engineer/stage"):
            with pytest.raises(ConflictError, match="proposed"):
                approvals.vote(request.id, ballot(name))
        assert approvals.use(request.id, key="k-1", at=NOON) is None

    def test_after_its_expiry_it_opens_nothing(self, approvals: ApprovalsPort) -> None:
        request = approvals.open(asked())
        approvals.vote(request.id, ballot("Ann"))
        assert approvals.use(request.id, key="k-1", at=NOON + HOUR) is None
        with pytest.raises(ConflictError, match="expired"):
            approvals.vote(request.id, ballot("Bob", at=NOON + HOUR))
        assert approvals.use(request.id, key="k-1", at=NOON + HOUR - timedelta(microseconds=1)) is not None

    def test_what_is_withdrawn_opens_nothing_and_what_is_used_is_not_withdrawn(self, approvals: ApprovalsPort) -> None:
        request, other = approvals.open(asked()), approvals.open(asked(stage="ab"))
        approvals.vote(request.id, ballot("Ann"))
        approvals.vote(other.id, ballot("Ann"))
        approvals.use(other.id, key="k-1", at=NOON)
        withdrawn = approvals.withdraw(request.id, "the cycle ended")
        assert (withdrawn.withdrawn, withdrawn.state(NOON)) == ("the cycle ended", ApprovalState.WITHDRAWN)
        assert approvals.use(request.id, key="k-1", at=NOON) is None
        assert approvals.withdraw(other.id, "too late").state(NOON) is ApprovalState.USED

    def test_requests_are_listed_newest_first_and_by_what_is_wanted(self, approvals: ApprovalsPort) -> None:
        made = [approvals.open(asked(at=NOON + n * HOUR / 4, stage=f"s{n}")) for n in range(4)]
        approvals.open(asked(cycle_id="si_2026_01_31_002"))
        approvals.vote(made[1].id, ballot("Ann", "deny", reason="no", at=made[1].asked_at))
        of_cycle = [r.binding.stage for r in approvals.requests(cycle_id=CYCLE)]
        assert of_cycle == ["s3", "s2", "s1", "s0"]
        waiting = approvals.requests(waiting_at=NOON + HOUR)
        assert [r.binding.stage for r in waiting] == ["s3", "s2"]
        assert len(approvals.requests(limit=2)) == 2

    def test_what_is_not_there_cannot_be_decided_or_used(self, approvals: ApprovalsPort) -> None:
        with pytest.raises(InvalidInput, match="ap_none"):
            approvals.vote("ap_none", ballot("Ann"))
        with pytest.raises(InvalidInput, match="ap_none"):
            approvals.withdraw("ap_none", "why")
        with pytest.raises(InvalidInput, match="ap_none"):
            approvals.use("ap_none", key="k", at=NOON)

    def test_of_many_keys_at_once_one_uses_it(self, approvals: ApprovalsPort) -> None:
        request = approvals.open(asked())
        approvals.vote(request.id, ballot("Ann"))
        winners: list[str] = []

        def grab(number: int) -> None:
            if approvals.use(request.id, key=f"k-{number}", at=NOON) is not None:
                winners.append(f"k-{number}")

        at_once(8, grab)
        kept = approvals.request(request.id)
        assert kept is not None
        assert winners == [kept.used_by]

    def test_of_a_vote_and_a_denial_at_once_the_denial_is_never_lost(self, approvals: ApprovalsPort) -> None:
        request = approvals.open(asked(need=2))

        def decide(number: int) -> None:
            answer = "deny" if number == 0 else "approve"
            try:
                approvals.vote(request.id, ballot(f"P{number}", answer, reason="no"))
            except ConflictError:
                return

        at_once(4, decide)
        kept = approvals.request(request.id)
        assert kept is not None
        assert kept.state(NOON) is ApprovalState.DENIED

    def test_it_says_how_many_there_are(self, approvals: ApprovalsPort) -> None:
        approvals.open(asked())
        assert "1 requests" in approvals.check()
