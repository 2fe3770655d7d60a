"""Registers of executors, held to their contract."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.executors.base import ExecutorsPort
from adapters.executors.memory import MemoryExecutors
from domain.clock import FrozenClock
from tests.contract.executors_contract import ExecutorsContract


class TestMemoryExecutors(ExecutorsContract):
    clock: FrozenClock

    @pytest.fixture
    def executors(self) -> ExecutorsPort:
        type(self).clock = FrozenClock()
        return MemoryExecutors(self.clock)

    def pass_by(self, duration: timedelta) -> None:
        self.clock.advance(duration)
