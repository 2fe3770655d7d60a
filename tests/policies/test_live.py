"""A policy set that changes while it is asked: a good one takes effect, any other leaves the old one in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from domain.actor import Actor
from domain.decision import AuthorizationRequest, Decision, Effect
from domain.errors import AuditUnavailable, PolicySetBroken
from policies.invariants import violated
from policies.live import LivePolicies, PolicyChange
from policies.packaged import packaged_policy_files
from policies.pdp import BrokenPolicies, PolicyDecisionPoint, hash_of
from policies.watched import Stamp
from tests.policies.test_pdp import DEVOPS, GOOD

FILES = dict(packaged_policy_files())
STRICTER = {**FILES, "more.cedar": b'@id("forbid-all") @reason("closed") forbid (principal, action, resource);'}
LOOSER = {
    **FILES,
    "forbids.cedar": b'@id("forbid-drop") forbid (principal, action == Action::"tombstone", resource);',
}


@dataclass
class Files:
    """A source in memory; `age` None is a stamp that cannot tell."""

    files: Mapping[str, bytes] = field(default_factory=lambda: FILES)
    age: timedelta | None = timedelta(minutes=1)
    problem: str = ""
    looks: int = 0

    def stamp(self) -> Stamp:
        self.looks += 1
        if self.problem:
            raise PolicySetBroken(self.problem)
        return Stamp(hash_of(self.files), self.age)

    def read(self) -> Mapping[str, bytes]:
        return self.files


class Point:
    """A live point on such files, with its clock and what it told."""

    def __init__(self, files: Files | None = None) -> None:
        self.files = files or Files()
        self.seconds = 0.0
        self.told: list[PolicyChange] = []
        self.unheard: AuditUnavailable | None = None
        self.live = LivePolicies(self.files, monotonic=lambda: self.seconds, told=self._hear)

    def _hear(self, change: PolicyChange) -> None:
        if self.unheard is not None:
            raise self.unheard
        self.told.append(change)

    def ask(self, after: float = 1.0) -> Decision:
        """Ask for a promotion that all is well for, so many seconds later."""
        self.seconds += after
        return self.live.decide(
            AuthorizationRequest(
                actor=Actor(role=DEVOPS),
                tool="promote",
                effect=Effect.IRREVERSIBLE,
                target="search",
                environment="dev",
                context=GOOD,
            )
        )


def test_a_changed_set_takes_effect_without_a_restart_and_its_hash_is_in_the_decision() -> None:
    point = Point()
    assert point.ask().allowed
    point.files.files = STRICTER
    decision = point.ask()
    assert (decision.allowed, decision.policies) == (False, ("forbid-all",))
    assert decision.policy_hash == point.live.policy_hash == hash_of(STRICTER)
    assert [(c.taken, c.before) for c in point.told] == [(True, ""), (True, hash_of(FILES))]


def test_the_files_are_looked_at_once_a_second_at_most() -> None:
    point = Point()
    before = point.files.looks
    for _ in range(50):
        point.ask(after=0.01)
    assert point.files.looks == before
    point.ask(after=0.6)
    assert point.files.looks == before + 1


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "one schema"),
        ({**FILES, "more.cedar": b"permit (principal"}, "does not parse"),
        ({k: v for k, v in FILES.items() if k != "forbids.cedar"}, "it would allow"),
        (LOOSER, "an effect under the kill switch"),
    ],
)
def test_a_set_that_is_broken_or_allows_what_none_may_leaves_the_old_one_in_force(
    files: Mapping[str, bytes], said: str
) -> None:
    point = Point()
    point.files.files = files
    assert point.ask().allowed
    assert point.live.policy_hash == hash_of(FILES)
    assert said in point.live.problem
    with pytest.raises(PolicySetBroken, match=r"not in force.*stays in force"):
        point.live.check()
    for _ in range(3):
        point.ask()
    assert [c.taken for c in point.told] == [True, False]
    point.files.files = FILES
    assert point.ask().allowed
    assert point.live.problem == ""
    assert "in force" in point.live.check()
    assert [c.taken for c in point.told] == [True, False, True]


def test_files_that_cannot_be_read_leave_the_old_set_in_force() -> None:
    point = Point()
    point.files.problem = "the folder is gone"
    assert point.ask().allowed
    assert point.live.problem == "the folder is gone"
    point.files.problem = ""
    assert point.ask().allowed
    assert point.live.problem == ""


def test_a_set_that_is_still_being_written_is_left_alone_until_it_rests() -> None:
    point = Point()
    point.files.age = timedelta(milliseconds=20)
    point.files.files = {**STRICTER, "z.cedar": b'@id("z") permit (principal, action, resource) when { false };'}
    assert point.ask().allowed
    point.files.files = STRICTER
    assert point.ask().allowed
    assert not point.ask().allowed
    assert point.live.policy_hash == hash_of(STRICTER)


@pytest.mark.parametrize("files", [Files(files={}), Files(problem="no such folder"), Files(files=LOOSER)])
def test_where_no_good_set_was_ever_seen_everything_is_denied(files: Files) -> None:
    point = Point(files)
    decision = point.ask()
    assert not decision.allowed
    assert "the policy set is broken" in decision.reason
    assert point.live.policy_hash == ""
    files.files, files.problem = FILES, ""
    assert point.ask().allowed


def test_a_change_that_cannot_be_put_on_record_takes_no_effect_until_it_can() -> None:
    point = Point()
    point.unheard = AuditUnavailable("the disk is full")
    point.files.files = STRICTER
    assert point.ask().allowed
    assert "the disk is full" in point.live.problem
    point.unheard = None
    assert not point.ask().allowed
    assert point.live.problem == ""


@pytest.mark.parametrize("files", [LOOSER, {**FILES, "more.cedar": b"permit (principal"}])
def test_a_set_that_was_kept_out_while_the_record_was_away_is_put_on_record_once_it_is_back(
    files: Mapping[str, bytes],
) -> None:
    point = Point()
    point.unheard = AuditUnavailable("the disk is full")
    point.files.files = files
    for _ in range(2):
        assert point.ask().allowed
    assert "the disk is full" in point.live.problem
    point.unheard = None
    for _ in range(3):
        assert point.ask().allowed
    assert [c.taken for c in point.told] == [True, False]
    assert "the disk is full" not in point.live.problem


def test_the_packaged_set_allows_nothing_that_none_may() -> None:
    assert violated(PolicyDecisionPoint.from_files(FILES)) == []
    assert violated(BrokenPolicies("none")) == []


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("forbid-kill-switch", "kill switch"),
        ("forbid-self-improvement-off", "self-improvement is off"),
        ("forbid-promote-ungated", "no gate passed"),
        ("forbid-promote-tombstoned", "rolled back before"),
        ("forbid-promote-outside-its-stage", "outside its stage"),
        ("forbid-elsewhere", "nobody knows"),
    ],
)
def test_a_set_without_one_of_the_rules_that_never_yield_is_found_out(policy: str, said: str) -> None:
    text = FILES["forbids.cedar"].decode()
    parts = text.split("@id(")
    gutted = "@id(".join(part for part in parts if not part.startswith(f'"{policy}"')).encode()
    assert gutted != FILES["forbids.cedar"]
    found = violated(PolicyDecisionPoint.from_files({**FILES, "forbids.cedar": gutted}))
    assert any(said in what for what in found), found
