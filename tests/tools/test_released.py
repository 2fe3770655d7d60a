"""A release is told with the commit before it, however many others were pushed to the values since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from adapters.vcs.base import EFFECT_COMMIT, EFFECT_REVERT, Commit
from adapters.vcs.memory import MemoryVcs
from domain.actor import Actor, Role
from domain.clock import FrozenClock
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.integrations.values.files import HELM, HELM_LAYOUT
from tools.deliver.release import AbArgs, AbStart, RollBack, RollBackArgs, released
from tools.tool import Call, Scope

CANDIDATE = f"sha256:{'c' * 64}"


class Counted(MemoryVcs):
    """A repository that counts how many commits it was asked for."""

    def __init__(self, clock: FrozenClock, permits: PermitOffice) -> None:
        super().__init__(text=HELM, permits=permits, clock=clock)
        self.read_commits = 0

    def history(self, limit: int = 20, since: datetime | None = None) -> Sequence[Commit]:
        """See `VcsPort.history`."""
        found = super().history(limit, since)
        self.read_commits += len(found)
        return found


class Busy:
    """A values repository that others push to all the time, and a cycle that releases in it."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.permits = PermitOffice(self.clock)
        self.vcs = Counted(self.clock, self.permits)

    def others_push(self, count: int, apart: timedelta = timedelta(minutes=1)) -> None:
        for _ in range(count):
            self.clock.advance(apart)
            self.vcs.push_from_outside(f"{self.vcs.read()}# {self.clock.now():%d %H:%M}\n")

    def call(self, tool: str, effect: str) -> Call:
        now = self.clock.now()
        scope = Scope("si_2026_01_01_001", "ab", "search", "dev", now, now)
        permit = self.permits.mint(
            tool=tool, effects=(effect,), args_hash="", actor="t", cycle_id=scope.cycle_id, key=tool
        )
        return replace(Call(scope, Actor(role=Role.SUPERVISOR), tool, ""), permit=permit)


@pytest.fixture
def busy() -> Busy:
    made = Busy()
    made.others_push(60)
    made.clock.advance(timedelta(days=1))
    return made


@pytest.mark.parametrize("others", [0, 1, 49, 50, 51, 199, 200, 230])
def test_a_release_is_found_behind_any_number_of_commits_of_others(busy: Busy, others: int) -> None:
    before = busy.vcs.head()
    tool, call = AbStart(busy.vcs, HELM_LAYOUT), busy.call("ab_start", EFFECT_COMMIT)
    args = AbArgs(candidate=CANDIDATE, share=0.2)
    made = tool.run(args, call)
    busy.others_push(others)
    again = tool.observe(args, call)
    assert again.seen is Seen.DONE
    assert made.previous == again.outcome["previous"] == before
    assert again.outcome["patch"] == busy.vcs.diff(before, made.revision) != ""


def test_a_revert_is_found_behind_any_number_of_commits_of_others(busy: Busy) -> None:
    start = AbStart(busy.vcs, HELM_LAYOUT)
    bad = start.run(AbArgs(candidate=CANDIDATE, share=0.2), busy.call("ab_start", EFFECT_COMMIT))
    tool, call = RollBack(busy.vcs), busy.call("roll_back", EFFECT_REVERT)
    args = RollBackArgs(revision=bad.revision, reason="worse")
    tool.run(args, call)
    busy.others_push(120)
    assert tool.observe(args, call).outcome["previous"] == bad.revision


def test_the_first_commit_of_all_has_none_before_it() -> None:
    alone = Busy()
    assert released(alone.vcs, alone.vcs.head(), alone.clock.now()).previous == ""
    first = alone.vcs.head()
    alone.others_push(60)
    assert released(alone.vcs, first, alone.clock.now() - timedelta(days=1)).previous == ""


def test_what_is_not_there_is_looked_for_back_to_the_begin_of_the_cycle_and_no_further(busy: Busy) -> None:
    began = busy.clock.now()
    busy.others_push(70)
    busy.vcs.read_commits = 0
    none = released(busy.vcs, "0" * 40, began)
    assert (none.previous, none.patch) == ("", "")
    assert busy.vcs.read_commits == 50 + 131
    busy.others_push(500, timedelta(minutes=10))
    busy.vcs.read_commits = 0
    assert released(busy.vcs, "0" * 40, busy.clock.now()).previous == ""
    assert busy.vcs.read_commits == 50 + 200


def test_a_commit_of_a_wrong_clock_does_not_end_the_search(busy: Busy) -> None:
    made = AbStart(busy.vcs, HELM_LAYOUT).run(
        AbArgs(candidate=CANDIDATE, share=0.2), busy.call("ab_start", EFFECT_COMMIT)
    )
    began = busy.clock.now()
    busy.others_push(80)
    place = -50
    wrong = busy.vcs._commits[place].model_copy(update={"at": datetime.min.replace(tzinfo=began.tzinfo)})
    busy.vcs._commits[place] = wrong
    assert released(busy.vcs, made.revision, began).previous == made.previous
