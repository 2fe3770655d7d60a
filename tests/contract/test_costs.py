"""The sources of costs hold to their contract; OpenCost's is in tests/integrations/opencost."""

from __future__ import annotations

import pytest

from adapters.costs.base import CostsPort
from adapters.costs.memory import MemoryCosts
from adapters.costs.none import NoCosts
from domain.clock import FrozenClock
from domain.errors import ConfigurationError
from tests.contract.costs_contract import BUDGET, NOW, SPENT, CostsContract


class TestMemoryCosts(CostsContract):
    @pytest.fixture
    def costs(self) -> CostsPort:
        return MemoryCosts(clock=FrozenClock(NOW), spent=SPENT, monthly_budget_usd=BUDGET)

    @pytest.fixture
    def unbudgeted(self) -> CostsPort:
        return MemoryCosts(clock=FrozenClock(NOW), spent=SPENT)


def test_where_no_cost_system_is_configured_asking_names_the_section() -> None:
    costs = NoCosts()
    for ask in (lambda: costs.allocation("search", NOW, NOW), lambda: costs.budget_share("search")):
        with pytest.raises(ConfigurationError, match="Add the section costs"):
            ask()
    assert "none configured" in costs.check()
