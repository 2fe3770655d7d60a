"""A request whose cycle has ended is closed; it is no person's refusal, and one that is merged meanwhile is merged."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.traces.memory import MemoryTraces
from adapters.vcs.base import EFFECT_WITHDRAW, ApprovalPending, VcsPort
from adapters.vcs.forge import ForgePort, PullRequest, State
from domain.errors import DependencyError, DependencyLied
from domain.observation import Seen
from evals.simulated_rows import VALUES as SERVED
from tests.contract.gitremote import commit
from tests.contract.permits import permit_for
from tests.contract.vcs_contract import CHANGED, VALUES
from tests.integrations.forge.conftest import Team, on_both
from tests.integrations.forge.test_through_the_door import SCOPE, Way
from tests.support.gates import ACTOR, Decides
from tools.deliver.release import ApplyTuning
from tools.deliver.withdraw import WithdrawChange
from tools.gate import Gate
from tools.outcome import Done, Failed
from tools.registry import Registry

KEY = "0123456789abcdef0123456789abcdef"
ENDING = "fedcba9876543210fedcba9876543210"


def pending(team: Team) -> int:
    """Propose, wait in vain, and return the request's number."""
    with pytest.raises(ApprovalPending):
        commit(team.vcs(), team.office, CHANGED, KEY)
    return len(team.stub.proposed)


def withdraw(team: Team, vcs: VcsPort | None = None, key: str = ENDING) -> bool:
    """Withdraw what is pending."""
    permit = permit_for(team.office, EFFECT_WITHDRAW, key)
    return (vcs or team.vcs()).withdraw(proposal=KEY, reason="the cycle was cancelled", key=key, permit=permit)


class Raced:
    """A forge on which somebody merges right before a request is closed."""

    def __init__(self, team: Team, *, closes: bool = True) -> None:
        self._forge: Any = team.forge()
        self._team = team
        self._closes = closes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._forge, name)

    def close(self, number: int, comment: str, body: str) -> None:
        """See `ForgePort.close`; the merge comes between its look and its change."""
        if self._closes:
            self._team.stub.merge(number)
            self._team.stub.one(number).body = body


def raced(team: Team, *, closes: bool = True) -> ForgePort:
    """Return the forge of the race, or one that acknowledges and does nothing."""
    forge: Any = Raced(team, closes=closes)
    return forge  # type: ignore[no-any-return]


@on_both("works")
def test_it_is_closed_with_the_reason_and_found_again_by_its_own_key(team: Team) -> None:
    one = team.stub.one(pending(team))
    assert withdraw(team)
    assert (one.state, one.comments[-1][1]) == ("closed", "Withdrawn: the cycle was cancelled")
    assert team.vcs().read() == VALUES
    assert (team.vcs().observe(KEY).seen, team.vcs().observe(ENDING).outcome) == (Seen.ABSENT, {"withdrawn": True})
    assert withdraw(team, team.vcs("after a crash"))
    assert not withdraw(team, key="another")
    assert len(one.comments) == 1


@on_both("works")
def test_a_withdrawal_is_no_refusal_and_the_change_may_be_proposed_anew(team: Team) -> None:
    number = pending(team)
    assert withdraw(team)
    assert pending(team) == number + 1
    merged = team.stub.merge(number + 1)
    assert commit(team.vcs(), team.office, CHANGED, KEY) == merged


@on_both("refused")
def test_what_a_person_closed_stays_their_refusal(team: Team) -> None:
    number = pending(team)
    team.stub.refuse(number, "not today")
    assert not withdraw(team)
    assert KEY in team.stub.one(number).body
    assert len(team.stub.one(number).comments) == 1


@on_both("lying")
@pytest.mark.parametrize("blank", [False, True], ids=["", "blank"])
def test_one_merged_in_the_same_moment_is_not_taken_for_withdrawn(team: Team, blank: bool) -> None:
    """Even where the base lost the key and the request carries our mark already."""
    team.stub.blank = blank
    number = pending(team)
    assert not withdraw(team, team.vcs(forge=raced(team)))
    merged = team.stub.one(number).made
    assert team.vcs().observe(KEY).outcome == {"revision": merged}
    assert team.vcs().observe(ENDING).seen is Seen.ABSENT
    assert commit(team.vcs(), team.office, CHANGED, KEY) == merged


@on_both("lying")
def test_one_that_stays_open_all_the_same_is_no_success(team: Team) -> None:
    number = pending(team)
    with pytest.raises(DependencyLied, match="is still open"):
        withdraw(team, team.vcs(forge=raced(team, closes=False)))
    seen: PullRequest = team.forge().get(number)
    assert seen.state is State.OPEN


@on_both("slow")
def test_a_forge_that_does_not_answer_leaves_it_open_and_says_so(team: Team) -> None:
    number = pending(team)
    vcs = team.vcs(forge=team.forge(seconds=0.2))
    team.stub.fault = "slow"
    with pytest.raises(DependencyError, match=team.kind):
        withdraw(team, vcs)
    assert team.stub.one(number).state == "open"


@on_both("works")
def test_through_the_door_it_is_one_effect_and_a_race_is_told(team: Team) -> None:
    team.remote.push(SERVED.format(version="1", digest=f"sha256:{0:064}"))
    way = Way(team)
    doors = [_door(way, team.vcs()), _door(way, team.vcs(forge=raced(team)))]
    for number, mode in enumerate(("fast", "exhaustive"), start=1):
        team.remote.push(SERVED.format(version=str(number), digest=f"sha256:{0:064}"))
        door = doors[number - 1]
        assert isinstance(door.call("apply_tuning", {"mode": mode}, ACTOR, SCOPE), Failed)
        proposed = next(r.entry.key for r in reversed(way.audit.records()) if r.entry.tool == "apply_tuning")
        args = {"proposal": proposed, "reason": "it has ended"}
        done = door.call("withdraw_change", args, ACTOR, SCOPE)
        assert isinstance(done, Done)
        landed = team.stub.one(number).made
        assert done.value.model_dump() == {"withdrawn": number == 1, "landed": landed if number == 2 else ""}
        again = door.call("withdraw_change", args, ACTOR, SCOPE)
        assert isinstance(again, Done)
        assert again.receipt.repeated
    assert [one.state for one in team.stub.proposed] == ["closed", "merged"]


def _door(way: Way, vcs: VcsPort) -> Gate:
    return Gate(
        registry=Registry([ApplyTuning(vcs), WithdrawChange(vcs)]),
        pdp=Decides(),
        audit=way.audit,
        store=way.store,
        office=way.team.office,
        traces=MemoryTraces(),
        context=lambda *_: {},
    )
