"""The worker and its executor: turns, sweeps, taking over, and stopping when it was fenced."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.executors.base import Fenced, Lease
from adapters.executors.memory import MemoryExecutors
from adapters.inbox.base import Turn
from adapters.inbox.memory import MemoryInbox
from adapters.workflow.inline import InlineWorkflow
from cycles.intake import Routing, accept
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.errors import ConflictError, DependencyUnavailable
from service.executor import Executor
from service.worker import Worker
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of
from tests.support.waiting import until

ROUTING = Routing(["latency_p95_ms"], {}, ["search"], "dev")
TTL = timedelta(seconds=1)


class Shared(InlineWorkflow):
    """An inline workflow beside others: `left` are the owners whose workflows nobody runs any more."""

    left: list[str]
    adopted: list[str]

    def owners(self) -> Collection[str]:
        """See `SharedWorkflow.owners`."""
        return [*self.left]

    def adopt(self, dead: Collection[str]) -> int:
        """See `SharedWorkflow.adopt`."""
        self.adopted += dead
        self.left = [owner for owner in self.left if owner not in dead]
        return len(dead)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return office_in_memory(tmp_path, Action.TUNE)


@pytest.fixture
def shared(rig: Rig) -> Shared:
    made = Shared(rig.clock)
    made.left, made.adopted = [], []
    rig.engine._workflow = made
    rig.engine.launch()
    return made


@pytest.fixture
def inbox(rig: Rig) -> MemoryInbox:
    return MemoryInbox(rig.store, rig.clock)


def body(rig: Rig) -> str:
    alert = alert_of(Action.TUNE, rig.clock)
    labels = {"alertname": "Slow", "signal": alert.signal, "target": alert.target, "environment": alert.environment}
    one = {"status": "firing", "labels": labels, "startsAt": alert.starts_at.isoformat(), "fingerprint": "f1"}
    return json.dumps({"version": "4", "receiver": "evercrew", "alerts": [one]})


def test_an_alert_in_the_inbox_becomes_a_cycle_that_is_worked_to_its_end(
    rig: Rig, shared: Shared, inbox: MemoryInbox
) -> None:
    told: list[Turn] = []
    accept(body(rig), ROUTING, inbox)
    worker = Worker(rig.engine, inbox, shared, None, rig.clock, told=told.append)
    assert worker.once()
    assert not worker.once()
    [cycle] = rig.store.cycles()
    assert cycle.stage.value == "done"
    assert cycle.outcome is not None
    assert cycle.outcome.verified
    assert told[0].opened == (cycle.id,)


def test_a_cycle_whose_opener_died_before_it_started_the_workflow_gets_it_at_the_next_sweep(
    rig: Rig, shared: Shared, inbox: MemoryInbox
) -> None:
    cycle, _ = rig.store.open_cycle(alert_of(Action.TUNE, rig.clock), rig.clock.now())
    assert shared.status(cycle.id) == "absent"
    Worker(rig.engine, inbox, shared, None, rig.clock).once()
    assert shared.status(cycle.id) == "done"


def test_a_dependency_that_fails_is_tried_again(rig: Rig, shared: Shared, inbox: MemoryInbox) -> None:
    stop, calls = threading.Event(), [0]

    class Flaky(MemoryInbox):
        def turn(self, *_: object, **__: object) -> Turn | None:
            calls[0] += 1
            if calls[0] < 3:
                raise DependencyUnavailable("store", "it is away")
            stop.set()
            return None

    flaky = Flaky(rig.store, rig.clock)
    Worker(rig.engine, flaky, shared, None, rig.clock, pause=timedelta(milliseconds=1)).run(stop)
    assert calls == [3]


class Register(MemoryExecutors):
    """Executors by a clock that moves when a test says so, however busy the machine is; `beats` counts their beats."""

    def __init__(self) -> None:
        self.clock = Paced(self)
        self.beats = 0
        super().__init__(self.clock)

    def beat(self, lease: Lease) -> bool:
        """See `ExecutorsPort.beat`."""
        held = super().beat(lease)
        self.beats += 1
        return held

    def wait_for_a_beat(self) -> None:
        """Return when one was begun and has ended since."""
        seen = self.beats
        until(lambda: self.beats > seen + 1)


class Paced(FrozenClock):
    """A clock whose every half lease whoever lives has beaten in, where somebody does."""

    def __init__(self, register: Register) -> None:
        super().__init__()
        self._register = register
        self._since = timedelta()
        self.somebody_beats = False

    def sleep(self, duration: timedelta) -> None:
        """See `Clock.sleep`."""
        super().sleep(duration)
        self._since += duration
        if self.somebody_beats and self._since >= TTL / 2:
            self._register.wait_for_a_beat()
            self._since = timedelta()


@pytest.fixture
def executors() -> Register:
    return Register()


@pytest.fixture
def join(executors: Register, request: pytest.FixtureRequest) -> Callable[[str], Executor]:
    def joined(name: str) -> Executor:
        executor = Executor(executors, name, executors.clock, ttl=TTL)
        executors.clock.somebody_beats = True
        request.addfinalizer(executor.close)
        return executor

    return joined


def test_what_the_dead_left_is_taken_over_and_what_the_living_run_is_not(
    executors: Register, join: Callable[[str], Executor], shared: Shared
) -> None:
    mine, other = join("one"), join("two")
    gone = executors.join("three", timedelta())
    shared.left = [mine.lease.owner, other.lease.owner, gone.owner, "local"]
    assert mine.take_over(shared) == 2
    assert shared.adopted == [gone.owner, "local"]
    assert mine.take_over(shared) == 0


def test_a_beating_executor_stays_alive_for_longer_than_its_lease(
    executors: Register, join: Callable[[str], Executor]
) -> None:
    executor = join("one")
    for _ in range(6):
        executors.clock.sleep(TTL / 2)
    assert not executors.fence(executor.lease.owner)
    executor.guard()
    assert not executor.fenced.is_set()


def test_a_fenced_worker_stops_and_may_do_nothing_more(
    rig: Rig, shared: Shared, inbox: MemoryInbox, executors: Register, join: Callable[[str], Executor]
) -> None:
    executor = join("one")
    executors.leave(executor.lease)  # as if others had fenced it
    with pytest.raises(Fenced, match="one#1"):
        executor.guard()
    worker = Worker(rig.engine, inbox, shared, executor, rig.clock)
    worker.run(threading.Event())
    assert worker.fenced


def test_a_name_whose_process_died_just_now_is_waited_for_and_one_that_lives_is_refused(
    executors: Register, join: Callable[[str], Executor]
) -> None:
    executors.join("one", TTL)
    assert join("one").lease.generation == 2
    with pytest.raises(ConflictError, match="executor one"):
        join("one")


def _work(rig: Rig, cycle_id: str) -> None:
    ended = False
    while not ended:
        told = rig.engine.advance(cycle_id)
        rig.clock.sleep(timedelta(seconds=told["wait_s"]))
        ended = told["ended"]


def test_a_permit_is_not_spent_by_a_fenced_process(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.TUNE, clock=FrozenClock())

    def fenced() -> None:
        raise Fenced("one#1 was taken for dead")

    cycle = rig.open(alert_of(Action.TUNE, rig.clock))
    rig.permits.guard = fenced
    head = rig.ports.vcs.head()
    with pytest.raises(Fenced):
        _work(rig, cycle.id)
    assert rig.ports.vcs.head() == head
    intents = rig.audit.open_intents(cycle.id)
    assert [record.entry.tool for record in intents] == ["apply_tuning"]
