"""What every source of costs has to hold to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.costs.base import CostsPort
from adapters.costs.memory import Spent
from domain.errors import InvalidInput
from domain.measurement import Measurement

DAY = timedelta(days=1)
NOW = datetime(2026, 1, 11, tzinfo=UTC)
FIRST, LAST = datetime(2025, 12, 25, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)
DAYS = (LAST - FIRST) / DAY
BUDGET = 120.0
# Two dollars of CPU and one of memory a day for the platform; others run beside it.
SPENT = [
    Spent("search", FIRST, LAST, {"cpu": 2.0 * DAYS, "ram": 1.0 * DAYS}),
    Spent("other", FIRST, LAST, {"cpu": 7.0 * DAYS}),
    Spent("__idle__", FIRST, LAST, {"cpu": 0.5 * DAYS}),
]


class CostsContract:
    """A vendor gives `costs` over SPENT at NOW, with a monthly budget of BUDGET, and `unbudgeted` without one."""

    @pytest.fixture
    def costs(self) -> CostsPort:
        raise NotImplementedError

    @pytest.fixture
    def unbudgeted(self) -> CostsPort:
        raise NotImplementedError

    def test_a_span_costs_what_was_spent_in_it(self, costs: CostsPort) -> None:
        found = costs.allocation("search", NOW - 4 * DAY, NOW)
        assert found.usd.value == pytest.approx(12.0)
        assert found.by_resource == pytest.approx({"cpu": 8.0, "ram": 4.0})
        assert found.covered == pytest.approx(1.0)
        assert found.reason == ""
        assert found.usd.usable
        assert (found.usd.unit, found.usd.window, found.usd.at) == ("USD", 4 * DAY, NOW)

    def test_a_part_of_a_day_costs_a_part(self, costs: CostsPort) -> None:
        found = costs.allocation("search", NOW - timedelta(hours=5), NOW)
        assert found.usd.value == pytest.approx(3.0 * 5 / 24)

    def test_targets_do_not_pay_for_one_another(self, costs: CostsPort) -> None:
        assert costs.allocation("other", NOW - DAY, NOW).usd.value == pytest.approx(7.0)

    def test_a_span_the_source_does_not_cover_is_not_known(self, costs: CostsPort) -> None:
        found = costs.allocation("search", FIRST - DAY, FIRST + DAY)
        assert found.usd.value is None
        assert not found.usd.usable
        assert found.covered == pytest.approx(0.5)
        assert "50%" in found.reason

    def test_a_span_without_any_data_is_not_free(self, costs: CostsPort) -> None:
        found = costs.allocation("search", FIRST - 5 * DAY, FIRST - 3 * DAY)
        assert found.usd.value is None
        assert found.covered == 0.0
        assert found.reason

    def test_a_target_without_an_allocation_is_not_free(self, costs: CostsPort) -> None:
        found = costs.allocation("nobody", NOW - DAY, NOW)
        assert found.usd.value is None
        assert "'nobody'" in found.reason

    def test_an_empty_span_is_refused(self, costs: CostsPort) -> None:
        for end in (NOW, NOW - DAY):
            with pytest.raises(InvalidInput, match="end"):
                costs.allocation("search", NOW, end)

    def test_costs_per_thousand_requests_carry_how_many_there_were(self, costs: CostsPort) -> None:
        found = costs.allocation("search", NOW - DAY, NOW)
        per_1k = found.per_1k(Measurement(value=60_000, unit="requests", n=60_000, source="counter"))
        assert per_1k.value == pytest.approx(0.05)
        assert (per_1k.n, per_1k.window, per_1k.at) == (60_000, DAY, NOW)
        assert "counter" in per_1k.source
        for unknown in (Measurement.missing("requests", "x"), Measurement(value=0.0, unit="requests", n=0)):
            assert found.per_1k(unknown).value is None
        nothing = costs.allocation("nobody", NOW - DAY, NOW)
        assert nothing.per_1k(Measurement(value=5, unit="requests", n=5)).value is None

    def test_the_budget_is_of_the_calendar_month(self, costs: CostsPort) -> None:
        share = costs.budget_share("search")
        assert share.value == pytest.approx(30.0 / BUDGET)
        assert (share.window, share.at) == (10 * DAY, NOW)
        assert share.usable

    def test_without_a_budget_or_an_allocation_there_is_no_share(self, costs: CostsPort, unbudgeted: CostsPort) -> None:
        assert unbudgeted.budget_share("search").value is None
        assert costs.budget_share("nobody").value is None

    def test_the_check_answers_in_one_line(self, costs: CostsPort) -> None:
        assert costs.check()
        assert "\n" not in costs.check()
