"""The record of autonomy in memory, held to its contract."""

from __future__ import annotations

import pytest

from adapters.autonomy.base import AutonomyPort
from adapters.autonomy.memory import MemoryAutonomy
from tests.contract.autonomy_contract import AutonomyContract


class TestMemoryAutonomy(AutonomyContract):
    @pytest.fixture
    def autonomy(self) -> AutonomyPort:
        return MemoryAutonomy()
