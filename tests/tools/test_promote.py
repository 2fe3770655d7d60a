"""A promotion has the bundle in its hands once, and commits only as long as the door waits for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.tracking.memory import MemoryTracking
from adapters.vcs.base import EFFECT_COMMIT
from adapters.vcs.memory import MemoryVcs
from domain.actor import Actor, Role
from domain.candidate import ModelRef
from domain.clock import FrozenClock
from domain.errors import DependencyTimeout, DependencyUnavailable, DigestMismatch, EvercrewError
from domain.permit import PermitOffice
from tests.integrations.values.files import HELM, HELM_LAYOUT, NEW
from tools.deliver.release import Promote, PromoteArgs
from tools.tool import Call, Scope

AT = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE = Scope("si_2026_01_01_001", "promote", "search", "dev", AT, AT)
ARGS = PromoteArgs(name="reranker", version="8", digest=NEW)
AWAY = DependencyUnavailable("tracking", "nobody answers")


class Slow(MemoryTracking):
    """A registry whose bundles take their time, or cannot be had."""

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__(PermitOffice(clock), lambda bundle: NEW)
        self.takes = timedelta()
        self.problem: EvercrewError | None = None
        self.downloads = 0
        self._time = clock

    def download(self, ref: ModelRef, into: Path) -> Path:
        """See `TrackingPort.download`."""
        self.downloads += 1
        self._time.advance(self.takes)
        if self.problem is not None:
            raise self.problem
        return into


class Bench:
    """A promotion, what it works on, and its calls."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.office = PermitOffice(self.clock)
        self.vcs = MemoryVcs(text=HELM, permits=self.office, clock=self.clock)
        self.registry = Slow(self.clock)
        self.tool = Promote(self.vcs, self.registry, HELM_LAYOUT, self.clock)

    def promote(self, key: str = "k") -> str:
        """Ask for the promotion under a key; return the revision."""
        call = Call(
            Scope("si_2026_01_01_001", "promote", "search", "dev", AT, AT), Actor(role=Role.SUPERVISOR), key, ""
        )
        permit = self.office.mint(
            tool="promote", effects=(EFFECT_COMMIT,), args_hash="", actor="t", cycle_id=SCOPE.cycle_id, key=key
        )
        return self.tool.run(ARGS, replace(call, permit=permit)).revision


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_bundle_that_came_too_late_is_not_released_and_the_next_try_goes_on_from_there(bench: Bench) -> None:
    bench.registry.takes = timedelta(minutes=8, seconds=1)
    before = bench.vcs.head()
    with pytest.raises(DependencyTimeout, match="nothing was committed"):
        bench.promote()
    assert (bench.vcs.head(), bench.vcs.read()) == (before, HELM)
    assert bench.promote() == bench.vcs.head() != before
    assert bench.registry.downloads == 1


def test_a_bundle_that_came_just_in_time_is_released(bench: Bench) -> None:
    bench.registry.takes = timedelta(minutes=8)
    assert bench.promote() == bench.vcs.head()


def test_a_call_that_is_asked_again_does_not_have_the_bundle_again_and_outlasts_the_registry(bench: Bench) -> None:
    first = bench.promote()
    bench.registry.problem = AWAY
    assert bench.promote() == first
    assert bench.registry.downloads == 1
    with pytest.raises(DependencyUnavailable):
        bench.promote("another")


def test_a_bundle_that_was_not_found_as_evaluated_is_looked_at_again(bench: Bench) -> None:
    bench.registry.problem = DigestMismatch("another bundle")
    for _ in range(2):
        with pytest.raises(DigestMismatch):
            bench.promote()
    assert (bench.registry.downloads, bench.vcs.read()) == (2, HELM)


def test_what_is_remembered_is_bounded(bench: Bench) -> None:
    for number in range(301):
        bench.promote(f"{number}")
    bench.promote("300")
    assert bench.registry.downloads == 301
    bench.promote("0")
    assert bench.registry.downloads == 302
