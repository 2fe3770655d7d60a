"""What every register of executors has to hold to."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from adapters.executors.base import ExecutorsPort, Lease
from domain.errors import ConflictError, InvalidInput

LONG, SHORT = timedelta(minutes=5), timedelta(milliseconds=150)
# Long enough to do something within it, on a busy machine too.
MIDDLING = timedelta(seconds=3)


class ExecutorsContract:
    """A vendor gives `executors`, and `pass_by`: a way to let time pass for it."""

    @pytest.fixture
    def executors(self) -> ExecutorsPort:
        raise NotImplementedError

    def pass_by(self, duration: timedelta) -> None:
        """Let the time pass."""
        raise NotImplementedError

    def test_who_joins_is_alive_under_a_name_of_its_own(self, executors: ExecutorsPort) -> None:
        lease = executors.join("worker-1", LONG)
        assert lease.owner == "worker-1#1"
        assert executors.beat(lease)
        assert executors.holds(lease)
        assert [(m.lease, m.alive) for m in executors.members()] == [(lease, True)]

    def test_a_name_that_somebody_alive_has_is_refused(self, executors: ExecutorsPort) -> None:
        executors.join("worker-1", LONG)
        with pytest.raises(ConflictError, match="EVERCREW_EXECUTOR_ID"):
            executors.join("worker-1", LONG)

    def test_what_is_no_name_is_refused(self, executors: ExecutorsPort) -> None:
        for name in ("", "a#1", "with space", "x" * 101):
            with pytest.raises(InvalidInput, match="executor_id"):
                executors.join(name, LONG)
        assert executors.members() == []

    def test_who_was_heard_of_cannot_be_fenced(self, executors: ExecutorsPort) -> None:
        lease = executors.join("worker-1", LONG)
        assert not executors.fence(lease.owner)
        assert executors.holds(lease)

    def test_who_was_silent_for_long_is_fenced_once_and_for_all(self, executors: ExecutorsPort) -> None:
        lease = executors.join("worker-1", SHORT)
        self.pass_by(2 * SHORT)
        assert [m.alive for m in executors.members()] == [False]
        assert executors.holds(lease)  # late, and nobody minded yet
        assert executors.fence(lease.owner)
        assert not executors.beat(lease)
        assert not executors.holds(lease)
        assert executors.fence(lease.owner)
        assert executors.members() == []

    def test_who_beats_late_but_before_the_fence_goes_on(self, executors: ExecutorsPort) -> None:
        lease = executors.join("worker-1", MIDDLING)
        self.pass_by(1.2 * MIDDLING)
        assert executors.beat(lease)
        assert not executors.fence(lease.owner)

    def test_a_name_comes_back_with_the_next_generation_and_the_old_one_stays_fenced(
        self, executors: ExecutorsPort
    ) -> None:
        old = executors.join("worker-1", SHORT)
        self.pass_by(2 * SHORT)
        new = executors.join("worker-1", LONG)
        assert new.generation == old.generation + 1
        assert not executors.beat(old)
        assert executors.fence(old.owner)
        assert executors.beat(new)
        assert not executors.fence(new.owner)

    def test_who_left_may_be_taken_over_at_once(self, executors: ExecutorsPort) -> None:
        lease = executors.join("worker-1", LONG)
        executors.leave(lease)
        assert executors.fence(lease.owner)
        assert not executors.beat(lease)
        assert executors.join("worker-1", LONG).generation == 2

    def test_a_fenced_lease_cannot_make_its_successor_leave(self, executors: ExecutorsPort) -> None:
        old = executors.join("worker-1", LONG)
        executors.leave(old)
        new = executors.join("worker-1", LONG)
        executors.leave(old)
        assert executors.holds(new)

    def test_an_owner_that_was_never_heard_of_is_no_obstacle(self, executors: ExecutorsPort) -> None:
        assert executors.fence("local")
        assert executors.fence("nobody#3")

    def test_of_many_that_join_under_one_name_at_once_one_is_let_in(self, executors: ExecutorsPort) -> None:
        leases: list[Lease] = []
        refused: list[ConflictError] = []

        def join() -> None:
            try:
                leases.append(executors.join("worker-1", LONG))
            except ConflictError as problem:
                refused.append(problem)

        threads = [threading.Thread(target=join) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(leases) == 1
        assert len(refused) == 5
