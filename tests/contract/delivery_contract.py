"""What every look at what is live has to hold to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from adapters.delivery.base import DeliveryPort, Superseded
from domain.candidate import LiveState
from domain.clock import FrozenClock
from domain.errors import DependencyTimeout, InvalidInput

OLD = LiveState(digest="sha256:" + "a" * 64, revision="1" * 40)
NEW = LiveState(digest="sha256:" + "b" * 64, revision="2" * 40)
OTHER = LiveState(digest="sha256:" + "c" * 64, revision="3" * 40)
SECOND = timedelta(seconds=1)
Becomes = Callable[[LiveState, timedelta], None]


class DeliveryContract:
    """A vendor gives `delivery`, at first live with `old`, and `becomes(state, after)`; time is `clock`.

    `new` is the commit that is waited for, `other` somebody else's on top of it.
    """

    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock()

    @pytest.fixture
    def old(self) -> LiveState:
        return OLD

    @pytest.fixture
    def new(self) -> LiveState:
        return NEW

    @pytest.fixture
    def other(self) -> LiveState:
        return OTHER

    @pytest.fixture
    def delivery(self, clock: FrozenClock) -> DeliveryPort:
        raise NotImplementedError

    @pytest.fixture
    def becomes(self, delivery: DeliveryPort) -> Becomes:
        raise NotImplementedError

    def wait(self, delivery: DeliveryPort, state: LiveState, *, digest: str | None, seconds: float = 60) -> LiveState:
        return delivery.wait_until(
            state.revision, digest=digest, timeout=timedelta(seconds=seconds), poll=timedelta(seconds=1)
        )

    def test_it_says_what_is_live(self, delivery: DeliveryPort, old: LiveState) -> None:
        assert delivery.live() == old

    def test_what_is_live_already_is_not_waited_for(
        self, delivery: DeliveryPort, clock: FrozenClock, old: LiveState
    ) -> None:
        before = clock.now()
        assert self.wait(delivery, old, digest=old.digest) == old
        assert clock.now() == before

    def test_it_waits_until_the_revision_is_live(
        self, delivery: DeliveryPort, becomes: Becomes, clock: FrozenClock, new: LiveState
    ) -> None:
        begun = clock.now()
        becomes(new, timedelta(seconds=10))
        assert self.wait(delivery, new, digest=new.digest) == new
        assert timedelta(seconds=10) <= clock.now() - begun <= timedelta(seconds=11)

    def test_the_revision_with_another_digest_does_not_count(
        self, delivery: DeliveryPort, becomes: Becomes, old: LiveState, new: LiveState
    ) -> None:
        becomes(new.model_copy(update={"digest": old.digest}), SECOND)
        with pytest.raises(DependencyTimeout, match=old.digest[:19]):
            self.wait(delivery, new, digest=new.digest, seconds=5)
        assert self.wait(delivery, new, digest=None).revision == new.revision

    def test_what_does_not_come_ends_in_a_timeout_that_says_what_is_live(
        self, delivery: DeliveryPort, clock: FrozenClock, old: LiveState, new: LiveState
    ) -> None:
        begun = clock.now()
        with pytest.raises(DependencyTimeout, match=old.revision[:12]):
            self.wait(delivery, new, digest=new.digest, seconds=30)
        assert clock.now() - begun == timedelta(seconds=30)

    def test_the_commit_of_somebody_else_never_counts(
        self, delivery: DeliveryPort, becomes: Becomes, new: LiveState, other: LiveState
    ) -> None:
        becomes(other, SECOND)
        with pytest.raises((Superseded, DependencyTimeout), match=other.revision[:12]):
            self.wait(delivery, new, digest=None, seconds=5)

    def test_why_it_waits_is_told_once_for_each_reason(
        self, delivery: DeliveryPort, becomes: Becomes, old: LiveState, new: LiveState
    ) -> None:
        told: list[str] = []
        becomes(new, timedelta(seconds=5))
        delivery.wait_until(new.revision, digest=None, timeout=60 * SECOND, poll=SECOND, tell=told.append)
        assert told
        assert all(before != after for before, after in pairwise(told))
        assert any(old.revision[:12] in reason for reason in told)

    def test_a_poll_that_does_not_pause_is_refused(self, delivery: DeliveryPort, new: LiveState) -> None:
        with pytest.raises(InvalidInput, match="poll"):
            delivery.wait_until(new.revision, digest=None, timeout=SECOND, poll=timedelta())

    def test_the_check_answers_in_one_line(self, delivery: DeliveryPort) -> None:
        assert delivery.check()
        assert "\n" not in delivery.check()
