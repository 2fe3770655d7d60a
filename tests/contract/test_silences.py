"""Silences in memory, held to their contract; and what is said where there are none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from adapters.silences.base import EFFECT_EXPIRE, EFFECT_SILENCE, SilencesPort
from adapters.silences.memory import MemorySilences
from adapters.silences.none import NoSilences
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, PermitMissing
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.permits import permit_for
from tests.contract.silences_contract import MATCHERS, MINUTE, SilencesContract


class TestMemorySilences(SilencesContract):
    @pytest.fixture
    def silences(self, office: PermitOffice, office_clock: FrozenClock) -> SilencesPort:
        return MemorySilences(office, office_clock)

    @pytest.fixture
    def now(self, office_clock: FrozenClock) -> Callable[[], datetime]:
        return office_clock.now

    def test_a_silence_ends_by_itself(
        self, silences: SilencesPort, silence: Callable[[str], str], office_clock: FrozenClock
    ) -> None:
        made = silence("k1")
        office_clock.advance(5 * MINUTE)
        assert silences.ended(made)
        assert list(silences.active()) == []


def test_without_an_alert_manager_nothing_is_silenced_and_it_says_so() -> None:
    clock = FrozenClock()
    office = PermitOffice(clock)
    none = NoSilences(office)
    assert not none.configured
    permit = permit_for(office, EFFECT_SILENCE, "k1")
    with pytest.raises(ConfigurationError, match="alertmanager"):
        none.silence(MATCHERS, clock.now(), clock.now() + MINUTE, "a watch", key="k1", permit=permit)
    with pytest.raises(PermitMissing):
        none.silence(MATCHERS, clock.now(), clock.now() + MINUTE, "a watch", key="k1", permit=None)
    with pytest.raises(ConfigurationError, match="alertmanager"):
        none.expire("silence-1", key="k2", permit=permit_for(office, EFFECT_EXPIRE, "k2"))
    with pytest.raises(ConfigurationError, match="alertmanager"):
        none.ended("silence-1")
    assert (list(none.active()), none.observe("k1").seen) == ([], Seen.ABSENT)
    assert "none" in none.check()
