"""A release that waits for a person, taken through the door: refused time is no effect, and a merge is one effect."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.store.memory import MemoryStore
from adapters.traces.memory import MemoryTraces
from domain.clock import FrozenClock
from evals.simulated_rows import VALUES as SERVED
from tests.contract.permits import CYCLE
from tests.contract.vcs_contract import CHANGED, VALUES
from tests.integrations.forge.conftest import Meanwhile, Team, on_both
from tests.support.gates import ACTOR, Decides
from tools.deliver.release import ApplyTuning, RollBack
from tools.gate import Gate
from tools.outcome import Done, Failed
from tools.registry import Registry
from tools.tool import Scope

SCOPE = Scope(CYCLE, "promote", "search", "dev", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


class Way:
    """The door on an audit chain and a store that outlive it."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.audit = MemoryAudit(FrozenClock())
        self.store = MemoryStore()
        self.args = {"revision": team.remote.push(CHANGED), "reason": "it got worse"}

    def door(self, folder: str, **more: Any) -> Gate:
        """The door of a process of its own."""
        vcs = self.team.vcs(folder, **more)
        return Gate(
            registry=Registry([RollBack(vcs), ApplyTuning(vcs)]),
            pdp=Decides(),
            audit=self.audit,
            store=self.store,
            office=self.team.office,
            traces=MemoryTraces(),
            context=lambda *_: {},
        )

    def kinds(self) -> list[str]:
        return [f"{record.entry.kind.value} {record.entry.status}".strip() for record in self.audit.records()]


@pytest.fixture
def way(team: Team) -> Way:
    return Way(team)


@on_both("works")
def test_waiting_in_vain_is_recorded_as_no_effect_and_asked_again_until_it_is_merged(way: Way) -> None:
    door = way.door("one")
    first = door.call("roll_back", way.args, ACTOR, SCOPE)
    assert isinstance(first, Failed)
    assert (first.error, first.unknown) == ("ApprovalPending", False)
    merged = way.team.stub.merge(1)
    second = door.call("roll_back", way.args, ACTOR, SCOPE)
    assert isinstance(second, Done)
    assert (second.value.revision, second.value.previous) == (merged, way.args["revision"])
    assert way.team.vcs().read() == VALUES
    third = way.door("another process").call("roll_back", way.args, ACTOR, SCOPE)
    assert isinstance(third, Done)
    assert third.receipt.repeated
    assert way.kinds() == ["intent", "outcome failed", "intent", "outcome done"]
    assert len(way.team.stub.proposed) == 1


@on_both("works")
def test_what_was_merged_while_nobody_ran_is_found_by_the_next_process(way: Way) -> None:
    """An interruption while waiting leaves an open intent; recovery closes it by looking, and asks for nothing."""
    door = way.door("one", clock=Meanwhile(partial(setattr, way.audit, "broken", True)))
    assert isinstance(door.call("roll_back", way.args, ACTOR, SCOPE), Failed)
    way.audit.broken = False
    assert way.kinds() == ["intent"]
    merged = way.team.stub.merge(1)
    (closed,) = way.door("two").reconcile(SCOPE, ACTOR)
    assert isinstance(closed, Done)
    assert closed.value.revision == merged
    assert way.kinds() == ["intent", "outcome done"]


@on_both("works")
def test_a_call_repeated_after_the_merge_tells_what_the_merge_changed(way: Way) -> None:
    """The head it reads then is the merged one: the commit before it is told by the history."""
    before = way.team.remote.push(SERVED.format(version="1", digest=f"sha256:{0:064}"))
    door, args = way.door("one"), {"mode": "fast"}
    first = door.call("apply_tuning", args, ACTOR, SCOPE)
    assert isinstance(first, Failed)
    assert first.error == "ApprovalPending"
    merged = way.team.stub.merge(1)
    done = door.call("apply_tuning", args, ACTOR, SCOPE)
    assert isinstance(done, Done)
    assert (done.value.revision, done.value.previous) == (merged, before)
    assert "-  mode: balanced" in done.value.patch
    assert "+  mode: fast" in done.value.patch
    assert len(way.team.stub.proposed) == 1
