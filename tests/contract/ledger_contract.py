"""What every ledger has to hold to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.ledger.base import Account, EntryKind, LedgerPort, State
from domain.budget import KINDS, Amounts, Ceiling
from domain.clock import FrozenClock
from domain.errors import BudgetExhausted, InvalidInput
from tests.contract.store_contract import at_once

CYCLE = Account(name="cycle/si_2026_01_01_001", ceiling=Ceiling(usd_micros=100, tokens=1000))
PERIOD = Account(name="period/search/dev/2026-01-01", ceiling=Ceiling(usd_micros=150), alarm=0.8)
BOTH = (CYCLE, PERIOD)

Step = tuple[str, int, int]
# Every vendor's class runs it, with a ledger that each example empties.
_INHERITED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
_STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "release", "all"]), st.integers(0, 4), st.integers(0, 60)),
    max_size=25,
)


def money(amount: int) -> Amounts:
    """Return millionths of a dollar."""
    return Amounts(usd_micros=amount)


def used(ledger: LedgerPort, account: Account) -> tuple[int, int]:
    """Return what is reserved and spent, in millionths of a dollar."""
    standing = ledger.account(account.name)
    return (standing.reserved.usd_micros, standing.spent.usd_micros) if standing else (0, 0)


class LedgerContract:
    """A vendor gives `make`, which makes an empty ledger on a clock."""

    @pytest.fixture
    def make(self) -> Callable[[FrozenClock], LedgerPort]:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock()

    @pytest.fixture
    def ledger(self, make: Callable[[FrozenClock], LedgerPort], clock: FrozenClock) -> LedgerPort:
        return make(clock)

    def test_what_is_reserved_is_set_aside_in_every_account(self, ledger: LedgerPort) -> None:
        assert ledger.reserve("k", BOTH, money(40), holder="me", about="train_model").changed
        assert used(ledger, CYCLE) == (40, 0)
        assert used(ledger, PERIOD) == (40, 0)
        known = ledger.reservation("k")
        assert known is not None
        assert (known.state, known.reserved, known.holder, known.about) == (State.OPEN, money(40), "me", "train_model")
        assert known.accounts == tuple(sorted((CYCLE.name, PERIOD.name)))

    def test_what_is_settled_is_spent_and_the_rest_is_free_again(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40))
        assert ledger.settle("k", money(15)).changed
        assert used(ledger, CYCLE) == (0, 15)
        known = ledger.reservation("k")
        assert known is not None
        assert (known.state, known.reserved, known.spent) == (State.SETTLED, Amounts(), money(15))

    def test_what_is_released_is_free_again(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40))
        assert ledger.release("k").changed
        assert used(ledger, PERIOD) == (0, 0)
        assert ledger.open_reservations() == []

    def test_settling_without_an_amount_charges_all_of_it(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40))
        ledger.settle("k")
        assert used(ledger, CYCLE) == (0, 40)

    def test_a_ceiling_is_reached_and_not_passed(self, ledger: LedgerPort) -> None:
        ledger.reserve("a", BOTH, money(100))
        with pytest.raises(BudgetExhausted, match=r"cycle/si_2026_01_01_001.* needed.* left of"):
            ledger.reserve("b", BOTH, money(1))
        assert used(ledger, CYCLE) == (100, 0)

    def test_a_refusal_changes_no_account_and_is_on_record(self, ledger: LedgerPort) -> None:
        other = CYCLE.model_copy(update={"name": "cycle/other"})
        ledger.reserve("a", (other, PERIOD), money(90))
        with pytest.raises(BudgetExhausted, match="period/search"):
            ledger.reserve("b", BOTH, money(61))
        assert used(ledger, CYCLE) == (0, 0)
        assert used(ledger, PERIOD) == (90, 0)
        assert ledger.reservation("b") is None
        refusals = [e for e in ledger.entries(key="b") if e.kind is EntryKind.REFUSE]
        assert {e.account for e in refusals} == {CYCLE.name, PERIOD.name}
        assert all("needed" in e.about for e in refusals)
        assert ledger.faults() == []

    def test_a_kind_without_a_limit_is_counted_and_never_refused(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, Amounts(gpu_seconds=10**9, tokens=1000))
        standing = ledger.account(PERIOD.name)
        assert standing is not None
        assert standing.reserved == Amounts(gpu_seconds=10**9, tokens=1000)

    def test_everything_can_be_said_twice(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40), holder="me")
        assert not ledger.reserve("k", BOTH, money(40), holder="me").changed
        assert used(ledger, CYCLE) == (40, 0)
        ledger.settle("k", money(10))
        assert not ledger.settle("k", money(10)).changed
        assert not ledger.settle("k", money(30)).changed
        assert not ledger.release("k").changed
        assert used(ledger, CYCLE) == (0, 10)

    def test_the_same_key_for_another_amount_leaves_one_reservation(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40))
        ledger.reserve("k", BOTH, money(100))
        assert used(ledger, CYCLE) == (100, 0)
        ledger.reserve("k", BOTH, money(5))
        assert used(ledger, CYCLE) == (5, 0)
        with pytest.raises(BudgetExhausted):
            ledger.reserve("k", BOTH, money(101))
        assert used(ledger, CYCLE) == (5, 0)

    def test_a_key_can_be_opened_again_and_what_it_spends_adds_up(self, ledger: LedgerPort) -> None:
        for spent in (10, 20):
            ledger.reserve("k", BOTH, money(40))
            ledger.settle("k", money(spent))
        assert used(ledger, CYCLE) == (0, 30)
        known = ledger.reservation("k")
        assert known is not None
        assert known.spent == money(30)

    def test_what_was_released_and_happened_after_all_is_counted_once(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40))
        ledger.release("k")
        assert ledger.settle("k", money(25)).changed
        assert not ledger.settle("k", money(25)).changed
        assert used(ledger, CYCLE) == (0, 25)
        assert ledger.faults() == []

    def test_what_cost_more_than_was_set_aside_is_counted_all_the_same(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40))
        ledger.settle("k", money(140))
        assert used(ledger, CYCLE) == (0, 140)
        with pytest.raises(BudgetExhausted):
            ledger.reserve("next", BOTH, money(1))
        ledger.reserve("tokens", BOTH, Amounts(tokens=5))
        assert used(ledger, CYCLE) == (0, 140)

    def test_a_key_nobody_knows_changes_nothing(self, ledger: LedgerPort) -> None:
        assert not ledger.settle("unknown", money(5)).changed
        assert not ledger.release("unknown").changed
        assert ledger.reservation("unknown") is None
        assert ledger.accounts() == []

    def test_a_reservation_that_moves_to_another_period_leaves_the_old_one(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40))
        later = PERIOD.model_copy(update={"name": "period/search/dev/2026-01-31"})
        ledger.reserve("k", (CYCLE, later), money(30))
        assert used(ledger, PERIOD) == (0, 0)
        assert used(ledger, later) == (30, 0)
        assert used(ledger, CYCLE) == (30, 0)
        assert ledger.faults() == []

    def test_the_alarm_is_raised_once_when_its_share_is_spent(self, ledger: LedgerPort, clock: FrozenClock) -> None:
        assert ledger.reserve("a", (PERIOD,), money(150)).alarms == ()
        assert ledger.settle("a", money(119)).alarms == ()
        ledger.reserve("b", (PERIOD,), money(10))
        alarms = ledger.settle("b", money(1)).alarms
        assert [alarm.name for alarm in alarms] == [PERIOD.name]
        assert alarms[0].alarmed == clock.now()
        ledger.reserve("c", (PERIOD,), money(10))
        assert ledger.settle("c", money(10)).alarms == ()
        assert [e.kind for e in ledger.entries(PERIOD.name) if e.kind is EntryKind.ALARM] == [EntryKind.ALARM]

    def test_time_alone_gives_nothing_back(self, ledger: LedgerPort, clock: FrozenClock) -> None:
        ledger.reserve("k", BOTH, money(40))
        clock.advance(timedelta(days=400))
        assert used(ledger, CYCLE) == (40, 0)
        assert [r.key for r in ledger.open_reservations(CYCLE.name)] == ["k"]
        assert ledger.open_reservations("cycle/other") == []

    def test_entries_tell_what_happened_in_order(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", (CYCLE,), money(40), about="train_model")
        ledger.settle("k", money(15))
        kinds = [(e.kind, e.reserved, e.spent, e.about) for e in ledger.entries(CYCLE.name)]
        assert kinds == [
            (EntryKind.RESERVE, {"usd_micros": 40}, {}, "train_model"),
            (EntryKind.SETTLE, {"usd_micros": -40}, {"usd_micros": 15}, "train_model"),
        ]
        assert [e.kind for e in ledger.entries(limit=1)] == [EntryKind.SETTLE]

    def test_accounts_are_found_by_how_their_names_start(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(1))
        assert [s.name for s in ledger.accounts()] == sorted((CYCLE.name, PERIOD.name))
        assert [s.name for s in ledger.accounts("period/")] == [PERIOD.name]
        assert ledger.accounts("perio_") == []

    @pytest.mark.parametrize("key", ["", "two words", "k" * 201])
    def test_what_is_no_key_is_refused(self, ledger: LedgerPort, key: str) -> None:
        with pytest.raises(InvalidInput, match="key"):
            ledger.reserve(key, BOTH, money(1))
        assert ledger.accounts() == []

    def test_without_accounts_nothing_can_be_reserved(self, ledger: LedgerPort) -> None:
        for accounts in ((), (CYCLE, CYCLE)):
            with pytest.raises(InvalidInput, match="accounts"):
                ledger.reserve("k", accounts, money(1))

    @pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), 0.5])
    def test_what_is_no_amount_cannot_even_be_said(self, ledger: LedgerPort, amount: Any) -> None:
        with pytest.raises(ValidationError):
            ledger.reserve("k", BOTH, Amounts(usd_micros=amount))
        assert ledger.account(CYCLE.name) is None

    def test_check_says_that_it_adds_up(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(1))
        assert "add up" in ledger.check()

    def test_many_threads_never_spend_more_than_there_is(self, ledger: LedgerPort) -> None:
        granted: list[str] = []

        def take(number: int) -> None:
            for turn in range(3):
                key = f"k{number}.{turn}"
                try:
                    ledger.reserve(key, BOTH, money(9))
                except BudgetExhausted:
                    continue
                granted.append(key)

        at_once(8, take)
        assert len(granted) == 11
        assert used(ledger, CYCLE) == (99, 0)
        assert ledger.faults() == []

    def test_one_key_settled_by_many_is_settled_once(self, ledger: LedgerPort) -> None:
        ledger.reserve("k", BOTH, money(40))
        with ThreadPoolExecutor(8) as threads:
            changed = list(threads.map(lambda _: ledger.settle("k", money(7)).changed, range(8)))
        assert sum(changed) == 1
        assert used(ledger, CYCLE) == (0, 7)

    def test_one_key_reserved_by_many_is_set_aside_once(self, ledger: LedgerPort) -> None:
        at_once(8, lambda _number: ledger.reserve("k", BOTH, money(30)))
        assert used(ledger, CYCLE) == (30, 0)
        assert ledger.faults() == []

    @given(steps=_STEPS)
    @settings(max_examples=25, deadline=None, suppress_health_check=_INHERITED)
    def test_whatever_is_done_sums_stay_within_the_ceiling_and_add_up(
        self, make: Callable[[FrozenClock], LedgerPort], steps: list[Step]
    ) -> None:
        ledger = make(FrozenClock())
        model: dict[str, tuple[str, int, int]] = {}
        for what, place, amount in steps:
            key = f"k{place}"
            state, held, spent = model.get(key, ("", 0, 0))
            if what == "reserve":
                others = sum(h + s for k, (_, h, s) in model.items() if k != key) + spent
                try:
                    ledger.reserve(key, BOTH, money(amount))
                except BudgetExhausted:
                    assert others + amount > 100
                    continue
                assert others + amount <= 100
                model[key] = ("open", amount, spent)
            elif what == "release":
                ledger.release(key)
                model[key] = ("released", 0, spent) if state == "open" else (state, held, spent)
            elif state == "open":
                actual = held if what == "all" else min(amount, held)
                ledger.settle(key, None if what == "all" else money(actual))
                model[key] = ("settled", 0, spent + actual)
            total = used(ledger, CYCLE)
            assert total == (sum(m[1] for m in model.values()), sum(m[2] for m in model.values()))
            assert sum(total) <= 100
        assert ledger.faults() == []
        entries = ledger.entries(limit=10_000)
        for kind in KINDS:
            booked = sum(e.reserved.get(kind, 0) + e.spent.get(kind, 0) for e in entries)
            assert booked == sum(s.used.of(kind) for s in ledger.accounts())
