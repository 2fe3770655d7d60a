"""People vote in a session of the service as themselves: never for others, never twice, never without their key."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.accounts.base import AccountKind, AccountsPort
from adapters.accounts.memory import MemoryAccounts
from cycles.approvals import note_opened
from domain.access import AccessRole, Caller
from domain.approval import ApprovalRequest, ApprovalState, Proof, Vote, VoteAnswer
from domain.errors import ConflictError, DependencyUnavailable, InvalidInput
from domain.people import People, Person
from service.consents import AccountVoters, deciders
from tests.approvals.asked import Asking, profile_with, refused
from tests.contract.accounts_contract import account
from tools.outcome import Done

ADMIN, APPROVER, OPERATOR = AccessRole.ADMIN, AccessRole.APPROVER, AccessRole.OPERATOR
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2nYLt1XP0kW0lEo7FQVv3CqV6gkXn0sXvBpyW4cQ4 zoe"
CONFIGURED = People(
    {
        "Ann": Person(name="Ann", roles=("admin",), os_users=("ann",)),
        "Zoe": Person(name="Zoe", roles=("admin",), os_users=("zoe",), public_key=KEY),
        "Cem": Person(name="Cem", roles=("viewer",), os_users=("cem",)),
        "Jan Smit": Person(name="Jan Smit", roles=("approver",), os_users=("jsmit",)),
    }
)


class Booth:
    """A call that waits for people, and the accounts of the service."""

    def __init__(self, folder: Path, need: int = 1, opened_by: str = "") -> None:
        of = profile_with(need=need, of=["admin", "approver"])
        self.asking = Asking(folder, of=of)
        self.accounts = MemoryAccounts()
        self.asking.with_people(CONFIGURED)
        self.asking.consent.ballots.voters = AccountVoters(self.accounts)
        for name, *roles in (
            ("Ann", "admin"),
            ("Zoe", "admin"),
            ("Cem", "approver"),
            ("Dot", "approver"),
            ("Eli", "operator"),
        ):
            self.accounts.add(account(name, *roles))
        if opened_by:
            note_opened(self.asking.rig.store, self.asking.cycle.id, opened_by)
        self.request = self.asking.asked()

    def vote(self, name: str, answer: str = "approve", *, as_: str = "", person: str | None = "") -> ApprovalRequest:
        """Let an account vote, as itself unless said otherwise."""
        found = self.accounts.account(name)
        assert found is not None
        caller = Caller(name=name, roles=found.roles, via="session", person=name if person == "" else person)
        ballots = self.asking.consent.ballots
        return ballots.vote(self.request.id, as_ or name, VoteAnswer(answer), "because", caller=caller)

    def opens(self) -> bool:
        """Whether the call is let through now."""
        return isinstance(self.asking.call(), Done)


@pytest.fixture
def booth(tmp_path: Path) -> Booth:
    return Booth(tmp_path)


def test_an_account_stands_for_the_person_of_its_name(booth: Booth) -> None:
    after = booth.vote("Ann")
    assert [(v.person, v.proof.how, v.proof.who) for v in after.approving] == [("Ann", "session", "Ann")]
    assert booth.opens()


def test_an_account_without_a_person_stands_for_itself(booth: Booth) -> None:
    assert booth.vote("Dot").approving[0].person == "Dot"
    assert booth.opens()
    assert booth.asking.promotions == 1


def test_nobody_votes_for_somebody_else(booth: Booth) -> None:
    for other in ("Ann", "Zoe", "nobody"):
        with pytest.raises(InvalidInput):
            booth.vote("Dot", as_=other)
    assert not booth.opens()


def test_who_has_a_key_signs_and_no_session_stands_for_it(booth: Booth) -> None:
    with pytest.raises(InvalidInput, match="has a key"):
        booth.vote("Zoe")
    with pytest.raises(InvalidInput, match="has a key"):
        booth.vote("Zoe", "deny")
    assert not booth.opens()


def test_the_role_of_the_people_counts_for_who_is_among_them(booth: Booth) -> None:
    with pytest.raises(InvalidInput, match="none of the roles"):
        booth.vote("Cem")


def test_who_may_not_approve_does_not(booth: Booth) -> None:
    with pytest.raises(InvalidInput):
        booth.vote("Eli")
    assert not booth.opens()


def test_a_machine_is_nobody(booth: Booth) -> None:
    booth.accounts.add(account("robot", "admin", kind=AccountKind.CLIENT))
    with pytest.raises(InvalidInput):
        booth.vote("robot")
    with pytest.raises(InvalidInput, match="is not Ann"):
        booth.vote("Ann", person=None)


def test_an_account_named_like_an_account_of_the_machine_of_somebody_else_decides_nothing(booth: Booth) -> None:
    booth.accounts.add(account("JSmit", "approver"))
    with pytest.raises(InvalidInput):
        booth.vote("JSmit")
    assert not booth.opens()


def test_whoever_opened_the_cycle_by_hand_does_not_decide_it(tmp_path: Path) -> None:
    booth = Booth(tmp_path, opened_by="dot")
    with pytest.raises(ConflictError, match="proposed"):
        booth.vote("Dot")
    assert not booth.opens()
    booth.vote("Ann")
    assert booth.opens()


@pytest.mark.parametrize("loss", ["disabled", "role", "gone"])
def test_a_vote_counts_no_more_when_the_account_lost_its_right_before_it_was_used(booth: Booth, loss: str) -> None:
    booth.vote("Dot")
    found = booth.accounts.account("Dot")
    assert found is not None
    if loss == "gone":
        booth.accounts._accounts.pop("dot")
    else:
        change = {"disabled": True} if loss == "disabled" else {"roles": frozenset({OPERATOR})}
        booth.accounts.change(found, found.model_copy(update=change))
    assert not booth.opens()


def test_a_person_who_got_a_key_since_has_to_sign(booth: Booth) -> None:
    booth.vote("Ann")
    booth.asking.with_people(People({"Ann": Person(name="Ann", roles=("admin",), os_users=("ann",), public_key=KEY)}))
    booth.asking.consent.ballots.voters = AccountVoters(booth.accounts)
    assert not booth.opens()


def test_one_person_is_one_vote_by_whichever_way(tmp_path: Path) -> None:
    booth = Booth(tmp_path, need=2)
    booth.vote("Ann")
    booth.asking.approve(booth.request, "Ann")
    assert not booth.opens()
    booth.vote("Dot")
    assert booth.opens()
    refused(booth.asking.call(place="again"))


def test_a_denial_in_a_session_ends_it(booth: Booth) -> None:
    after = booth.vote("Dot", "deny")
    assert after.state(booth.asking.clock.now()) is ApprovalState.DENIED
    with pytest.raises(ConflictError, match="denied"):
        booth.vote("Ann")


def test_a_vote_that_is_in_the_table_and_not_in_the_chain_opens_nothing(booth: Booth) -> None:
    proof = Proof(how="session", who="Ann")
    forged = Vote(person="Ann", answer=VoteAnswer.APPROVE, at=booth.asking.clock.now(), proof=proof)
    booth.asking.consent.store.vote(booth.request.id, forged)
    assert not booth.opens()


def test_doctor_counts_the_accounts_among_those_who_can_decide(tmp_path: Path) -> None:
    booth = Booth(tmp_path, need=2)
    consent = booth.asking.consent
    of = profile_with(need=2, of=["approver"])
    assert "2 of approver" in deciders(consent, of)
    who = [person.name for person in consent.ballots.able(booth.request.binding.quorum)]
    assert who == ["Ann", "Dot", "Jan Smit", "Zoe"]


def test_without_a_service_nobody_votes_in_a_session(tmp_path: Path) -> None:
    asking = Asking(tmp_path)
    request = asking.asked()
    caller = Caller(name="Ann", roles=frozenset({ADMIN}), via="session", person="Ann")
    with pytest.raises(InvalidInput, match="may not decide"):
        asking.consent.ballots.vote(request.id, "Ann", VoteAnswer.APPROVE, caller=caller)


class Away:
    """Accounts whose database does not answer."""

    def account(self, name: str) -> None:
        raise DependencyUnavailable("store", "it does not answer")


def test_where_the_accounts_cannot_be_asked_the_door_stays_shut(booth: Booth) -> None:
    booth.vote("Dot")
    away: AccountsPort = Away()  # type: ignore[assignment]  # what a voter is looked up by, and no more
    booth.asking.consent.ballots.voters = AccountVoters(away)
    assert not booth.opens()
