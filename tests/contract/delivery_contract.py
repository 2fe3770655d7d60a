"""What every look at what is live has to hold to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from adapters.delivery.base import DeliveryPort
from domain.candidate import LiveState
from domain.clock import FrozenClock
from domain.errors import DependencyTimeout, InvalidInput

OLD = LiveState(digest="sha256:" + "a" * 64, revision="1" * 40)
NEW = LiveState(digest="sha256:" + "b" * 64, revision="2" * 40)
SECOND = timedelta(seconds=1)
Becomes = Callable[[LiveState, timedelta], None]


class DeliveryContract:
    """A vendor gives `delivery`, at first live with OLD, and `becomes(state, after)`; time is `clock`."""

    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock()

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

    def test_it_says_what_is_live(self, delivery: DeliveryPort) -> None:
        assert delivery.live() == OLD

    def test_what_is_live_already_is_not_waited_for(self, delivery: DeliveryPort, clock: FrozenClock) -> None:
        before = clock.now()
        assert self.wait(delivery, OLD, digest=OLD.digest) == OLD
        assert clock.now() == before

    def test_it_waits_until_the_revision_is_live(
        self, delivery: DeliveryPort, becomes: Becomes, clock: FrozenClock
    ) -> None:
        begun = clock.now()
        becomes(NEW, timedelta(seconds=10))
        assert self.wait(delivery, NEW, digest=NEW.digest) == NEW
        assert timedelta(seconds=10) <= clock.now() - begun <= timedelta(seconds=11)

    def test_the_revision_with_another_digest_does_not_count(self, delivery: DeliveryPort, becomes: Becomes) -> None:
        becomes(NEW.model_copy(update={"digest": OLD.digest}), SECOND)
        with pytest.raises(DependencyTimeout):
            self.wait(delivery, NEW, digest=NEW.digest, seconds=5)
        assert self.wait(delivery, NEW, digest=None).revision == NEW.revision

    def test_what_does_not_come_ends_in_a_timeout_that_says_what_is_live(
        self, delivery: DeliveryPort, clock: FrozenClock
    ) -> None:
        begun = clock.now()
        with pytest.raises(DependencyTimeout, match=OLD.revision[:12]):
            self.wait(delivery, NEW, digest=NEW.digest, seconds=30)
        assert clock.now() - begun == timedelta(seconds=30)

    def test_a_poll_that_does_not_pause_is_refused(self, delivery: DeliveryPort) -> None:
        with pytest.raises(InvalidInput, match="poll"):
            delivery.wait_until(NEW.revision, digest=None, timeout=SECOND, poll=timedelta())

    def test_the_check_answers_in_one_line(self, delivery: DeliveryPort) -> None:
        assert delivery.check()
        assert "\n" not in delivery.check()
