"""Waiting for a platform that is away for a while."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.delivery.local import LocalDelivery
from domain.candidate import LiveState
from domain.clock import FrozenClock
from domain.errors import DependencyTimeout, DependencyUnavailable
from tests.contract.delivery_contract import NEW


class Away:
    """A platform that answers from the fourth time on."""

    def __init__(self, answers_from: int) -> None:
        self._left = answers_from

    def live(self) -> LiveState:
        self._left -= 1
        if self._left > 0:
            raise DependencyUnavailable("platform", "the connection was refused")
        return NEW


def test_a_restarting_platform_is_waited_for() -> None:
    clock = FrozenClock()
    delivery = LocalDelivery(source=Away(4), clock=clock)
    poll = timedelta(seconds=1)
    assert delivery.wait_until(NEW.revision, digest=NEW.digest, timeout=10 * poll, poll=poll) == NEW


def test_a_platform_that_stays_away_is_named() -> None:
    delivery = LocalDelivery(source=Away(1000), clock=FrozenClock())
    poll = timedelta(seconds=1)
    with pytest.raises(DependencyTimeout, match="the connection was refused"):
        delivery.wait_until(NEW.revision, digest=None, timeout=5 * poll, poll=poll)
    with pytest.raises(DependencyUnavailable):
        delivery.live()
