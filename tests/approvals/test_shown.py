"""What an approval opens, and everything it does not: each by the real gate, the packaged policies and the chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.approvals.memory import MemoryApprovals
from adapters.audit.memory import MemoryAudit
from cycles.approvals import note_opened
from domain.actor import Actor, Role
from domain.approval import ApprovalRequest, Proof, Vote, VoteAnswer
from domain.clock import FrozenClock
from domain.decision import AuthorizationRequest, Decision
from domain.diagnosis import Action
from domain.errors import AuditUnavailable, ConflictError, DependencyUnavailable, InvalidInput
from domain.people import People, Person
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint
from tests.approvals.asked import ACTOR, DIGEST, PASSED, WANTED, Asking, profile_with, refused
from tests.support.meddling import flag
from tests.support.setting import alert_of, profile
from tools.outcome import Done

SECOND = timedelta(seconds=1)


def test_an_approval_opens_the_call_it_was_given_for_and_the_intent_names_who_gave_it(asking: Asking) -> None:
    request = asking.asked()
    refused(asking.call())
    asking.approve(request)
    assert isinstance(asking.call(), Done)
    assert asking.promotions == 1
    [intent] = [r.entry for r in asking.audit.records() if r.entry.kind is RecordKind.INTENT]
    assert intent.body["approval"] == {"id": request.id, "by": ["Ann"]}


# -- altered ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [{"digest": DIGEST[:-1] + ("e" if DIGEST.endswith("d") else "d")}, {"version": "3"}, {"name": "rerankes"}],
    ids=["digest", "version", "name"],
)
def test_one_altered_character_is_refused(asking: Asking, changed: dict[str, str]) -> None:
    request = asking.asked()
    asking.approve(request)
    refused(asking.rig.gate.call("promote", {**WANTED, **changed}, ACTOR, asking.rig.desk(asking.cycle).scope))
    assert asking.newest().id != request.id
    assert asking.promotions == 0
    assert isinstance(asking.call(), Done)


# -- replayed ---------------------------------------------------------------------------------------------------------


def test_a_replayed_approval_is_refused_in_another_place_stage_or_cycle(tmp_path: Path) -> None:
    many = {"max_models_per_day": 9, "max_models_at_once": 9}
    asking = Asking(tmp_path, of=profile(limits=many))
    request = asking.asked()
    asking.approve(request)
    assert isinstance(asking.call(), Done)
    refused(asking.call(place="again"))
    here = asking.rig.desk(asking.cycle).scope
    elsewhere = alert_of(Action.RETRAIN, asking.clock).model_copy(update={"target": "ads"})
    other = asking.rig.open(elsewhere)
    asking.rig.store.save(other.model_copy(update={"stage": Stage.PROMOTE, "facts": PASSED}))
    for scope in (replace(here, cycle_id=other.id, target="ads"), replace(here, cycle_id=other.id)):
        refused(asking.rig.gate.call("promote", WANTED, ACTOR, scope))
    for scope in (replace(here, stage="watch"), replace(here, environment="staging")):
        assert not isinstance(asking.rig.gate.call("promote", WANTED, ACTOR, scope), Done)
    assert asking.promotions == 1


def test_the_same_call_again_is_answered_from_the_record_and_changes_nothing(asking: Asking) -> None:
    asking.approve(asking.asked())
    first, again = asking.call(), asking.call()
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert (again.receipt.repeated, again.value, asking.promotions) == (True, first.value, 1)


def test_an_approval_that_was_used_is_not_given_to_another_key(asking: Asking) -> None:
    request = asking.asked()
    asking.approve(request)
    assert asking.consent.store.use(request.id, key="somebody else's", at=asking.clock.now()) is not None
    refused(asking.call())
    assert asking.promotions == 0


def test_an_approval_of_the_stage_is_none_for_a_person_or_an_agent(asking: Asking) -> None:
    asking.approve(asking.asked())
    for actor in (Actor(role=Role.DEVOPS_ENGINEER, person="Ann"), Actor(role=Role.DEVOPS_ENGINEER, via="agent")):
        assert not isinstance(asking.call(actor), Done)
    assert asking.promotions == 0


# -- by the proposer --------------------------------------------------------------------------------------------------


def test_by_the_person_who_opened_the_cycle_it_is_refused(asking: Asking) -> None:
    note_opened(asking.rig.store, asking.cycle.id, "ann")
    request = asking.asked()
    with pytest.raises(ConflictError, match="Ann proposed"):
        asking.approve(request)
    refused(asking.call())
    asking.approve(request, "Bob")
    assert isinstance(asking.call(), Done)


def test_by_the_person_who_asks_it_is_refused(asking: Asking) -> None:
    ann = Actor(role=Role.DEVOPS_ENGINEER, via="person", person="Ann")
    refused(asking.call(ann))
    request = asking.newest()
    for name in ("Ann", " ann "):
        with pytest.raises(ConflictError, match="proposed"):
            asking.approve(request, name, account="ann")
    refused(asking.call(ann))
    assert asking.promotions == 0


@pytest.mark.parametrize("name", ["devops_engineer", "devops_engineer/stage", "supervisor", "engine", "profile dev"])
def test_by_the_crew_it_is_refused_and_nobody_can_be_called_like_it(asking: Asking, name: str) -> None:
    request = asking.asked()
    with pytest.raises(InvalidInput, match="is not among the people"):
        asking.approve(request, name)
    with pytest.raises(InvalidInput, match="part of Evercrew"):
        People({name: Person(name=name, roles=("admin",))})


# -- in time ----------------------------------------------------------------------------------------------------------


def test_after_its_expiry_it_is_refused_whenever_it_was_given(asking: Asking) -> None:
    request = asking.asked()
    asking.approve(request)
    asking.clock.advance(request.expires_at - asking.clock.now())
    assert "expired" in refused(asking.call()).reason
    with pytest.raises(ConflictError, match="expired"):
        asking.approve(request, "Bob")
    assert asking.promotions == 0


def test_a_call_that_was_done_in_time_is_told_so_afterwards_also_under_other_policies(asking: Asking) -> None:
    request = asking.asked()
    asking.approve(request)
    assert isinstance(asking.call(), Done)
    asking.clock.advance(request.expires_at - asking.clock.now() + SECOND)
    asking.rig.gate._pdp = _another_set()
    again = asking.call()
    assert isinstance(again, Done)
    assert (again.receipt.repeated, asking.promotions) == (True, 1)


# -- the policy set ---------------------------------------------------------------------------------------------------


def _another_set() -> PolicyDecisionPoint:
    files = packaged_policy_files()
    return PolicyDecisionPoint.from_files({**files, "permits.cedar": files["permits.cedar"] + b"\n// One line more.\n"})


def test_a_policy_set_that_changed_in_between_needs_a_new_approval(asking: Asking) -> None:
    request = asking.asked()
    asking.approve(request)
    asking.rig.gate._pdp = _another_set()
    refused(asking.call())
    assert asking.newest().id != request.id
    asking.approve(asking.newest(), "Bob")
    assert isinstance(asking.call(), Done)


class Fickle:
    """A decision point whose set changes after so many decisions."""

    def __init__(self, before: PolicyDecisionPoint, after: PolicyDecisionPoint, changes_after: int) -> None:
        self._sets, self._left = (before, after), changes_after

    def decide(self, request: AuthorizationRequest) -> Decision:
        """See `Decider.decide`."""
        self._left -= 1
        return self._sets[0 if self._left >= 0 else 1].decide(request)


def test_a_policy_set_that_changes_while_a_call_is_decided_is_not_let_through(asking: Asking) -> None:
    asking.approve(asking.asked())
    asking.rig.gate._pdp = Fickle(PolicyDecisionPoint.from_files(packaged_policy_files()), _another_set(), 1)
    refused(asking.call())
    assert asking.promotions == 0


def test_an_approval_opens_nothing_that_a_gate_or_the_kill_switch_closes(asking: Asking) -> None:
    asking.approve(asking.asked())
    flag(asking.rig, "kill_switch", True)
    refused(asking.call(), "denied")
    flag(asking.rig, "kill_switch", False)
    asking.rig.store.save(asking.cycle.with_fact("verdict_ab", "fail"))
    refused(asking.call(), "denied")
    assert asking.promotions == 0


# -- how many, and who ------------------------------------------------------------------------------------------------


def test_two_of_two_roles_means_two_people(tmp_path: Path) -> None:
    rules = [{"tools": ["promote"], "need": 2, "of": ["admin", "ml_lead"]}]
    asking = Asking(tmp_path, of=profile_with(rules=rules))
    request = asking.asked()
    assert str(request.binding.quorum) == "2 of admin, ml_lead"
    asking.approve(request)
    asking.approve(request)
    assert "1 of 2" in refused(asking.call()).reason
    with pytest.raises(InvalidInput, match="Cem holds none of the roles admin, ml_lead"):
        asking.approve(request, "Cem")
    asking.approve(request, "Bob")
    assert isinstance(asking.call(), Done)
    [intent] = [r.entry for r in asking.audit.records() if r.entry.kind is RecordKind.INTENT]
    assert intent.body["approval"]["by"] == ["Ann", "Bob"]


def test_who_loses_the_role_before_it_is_used_has_not_approved(asking: Asking) -> None:
    asking.approve(asking.asked())
    asking.with_people(People({"Ann": Person(name="Ann", roles=("viewer",), os_users=("ann",))}))
    refused(asking.call())
    asking.with_people(People())
    refused(asking.call())
    assert asking.promotions == 0


def test_a_vote_from_another_account_is_none(asking: Asking) -> None:
    request = asking.asked()
    with pytest.raises(InvalidInput, match="the account mallory is none of Ann"):
        asking.approve(request, account="mallory")
    refused(asking.call())


def test_a_vote_that_was_only_written_into_the_table_opens_nothing(asking: Asking) -> None:
    request = asking.asked()
    proof = Proof(how="os_user", who="ann")
    forged = Vote(person="Ann", answer=VoteAnswer.APPROVE, at=asking.clock.now(), proof=proof)
    asking.consent.store.vote(request.id, forged)
    refused(asking.call())
    assert asking.consent.ballots.counting(asking.newest()) == ()
    assert asking.promotions == 0


# -- what fails -------------------------------------------------------------------------------------------------------


class AwayApprovals(MemoryApprovals):
    """Approvals whose database goes away."""

    away = False

    def request(self, identity: str) -> ApprovalRequest | None:
        """See `ApprovalsPort.request`."""
        self._look()
        return super().request(identity)

    def open(self, request: ApprovalRequest) -> ApprovalRequest:
        """See `ApprovalsPort.open`."""
        self._look()
        return super().open(request)

    def use(self, identity: str, **how: Any) -> ApprovalRequest | None:
        """See `ApprovalsPort.use`."""
        self._look()
        return super().use(identity, **how)

    def _look(self) -> None:
        if self.away:
            raise DependencyUnavailable("store", "the database is away")


class DeafAudit(MemoryAudit):
    """A chain that cannot be read, or written, while it is told so."""

    blind = deaf = False

    def records(self, cycle_id: str | None = None) -> Any:
        """See `AuditPort.records`."""
        if self.blind:
            raise AuditUnavailable("the chain cannot be read")
        return super().records(cycle_id)

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        if self.deaf:
            raise AuditUnavailable("the disk is full")
        return super().append(entry)


def _away(asking: Asking) -> Callable[[bool], None]:
    store = AwayApprovals()
    asking.consent.store = store
    asking.consent.ballots.store = store
    return lambda away: setattr(store, "away", away)


def test_while_the_store_is_down_it_is_refused_and_afterwards_it_counts(asking: Asking) -> None:
    away = _away(asking)
    asking.approve(asking.asked())
    away(True)
    assert "away" in refused(asking.call(), "denied").reason
    assert asking.promotions == 0
    away(False)
    assert isinstance(asking.call(), Done)


def test_while_nobody_can_be_asked_it_is_refused_and_nothing_is_promised(asking: Asking) -> None:
    away = _away(asking)
    away(True)
    assert "away" in refused(asking.call(), "denied").reason
    away(False)
    assert asking.consent.store.requests() == []


def test_while_the_chain_cannot_be_read_no_vote_counts_and_what_it_has_not_taken_is_none(tmp_path: Path) -> None:
    audit = DeafAudit(FrozenClock())
    asking = Asking(tmp_path, audit=audit)
    request = asking.asked()
    audit.deaf = True
    with pytest.raises(DependencyUnavailable, match="the vote does not count"):
        asking.approve(request)
    audit.deaf = False
    refused(asking.call())
    asking.approve(request)
    audit.blind = True
    refused(asking.call(), "denied")
    audit.blind = False
    assert isinstance(asking.call(), Done)
