"""The ledger in memory, held to its contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.ledger.base import LedgerPort
from adapters.ledger.memory import MemoryLedger
from domain.clock import FrozenClock
from tests.contract.ledger_contract import LedgerContract


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def make(self) -> Callable[[FrozenClock], LedgerPort]:
        return MemoryLedger
