"""The purse at the door: set aside, settled, given back, and never twice, whenever the process dies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from adapters.ledger.base import EntryKind
from domain.budget import Amounts
from domain.canonical import canonical_hash
from domain.errors import BudgetExhausted, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.receipt import RecordKind
from tests.support.gates import CYCLE
from tests.support.purses import COST, DOWN, PRICE, WASTE, Killed, Till
from tools.outcome import Done, Failed, Refused
from tools.purse import answer_cost, reckon

NOTHING = Amounts()


@pytest.fixture
def till() -> Till:
    return Till()


def test_a_call_is_set_aside_before_its_intent_and_settled_by_its_outcome(till: Till) -> None:
    assert isinstance(till.switch(), Done)
    assert till.sums == (NOTHING, COST)
    kinds = [e.kind for e in till.ledger.entries(f"cycle/{CYCLE}")]
    assert kinds == [EntryKind.RESERVE, EntryKind.SETTLE]
    intent, outcome = (r.entry for r in till.audit.records())
    assert intent.body["reserved"] == {"usd_micros": 100, "gpu_seconds": 5}
    assert outcome.body["spent"] == {"usd_micros": 60}


def test_the_same_call_again_costs_nothing(till: Till) -> None:
    for _ in range(3):
        assert isinstance(till.switch(), Done)
    assert till.sums == (NOTHING, COST)
    assert till.door.lamps.switched == 1


def test_a_call_that_does_not_fit_is_refused_and_nothing_happens() -> None:
    till = Till(limit=0.000_099)
    outcome = till.switch()
    assert isinstance(outcome, Refused)
    assert (outcome.kind, till.door.lamps.switched, till.kinds(RecordKind.INTENT)) == ("budget", 0, 0)
    assert "0.000100 USD needed, 0.000099 USD left of 0.000099 USD" in outcome.reason
    assert till.sums == (NOTHING, NOTHING)


def test_calls_are_made_until_the_budget_is_used_up_and_no_further() -> None:
    till = Till(limit=0.000_3)
    done = [isinstance(till.switch(f"room {n}"), Done) for n in range(6)]
    assert done == [True, True, True, True, False, False]
    assert till.sums == (NOTHING, Amounts(usd_micros=240))


def test_a_call_that_failed_has_cost_what_it_did_and_may_be_made_again(till: Till) -> None:
    till.door.lamps.before = lambda: (_ for _ in ()).throw(DependencyUnavailable("lamp", "it is broken"))
    assert isinstance(till.switch(), Failed)
    assert till.sums == (NOTHING, WASTE)
    till.reborn()
    assert isinstance(till.switch(), Done)
    assert till.sums == (NOTHING, WASTE.plus(COST))


def test_a_call_whose_outcome_is_unknown_stays_set_aside(till: Till) -> None:
    till.door.lamps.blind = True
    till.door.lamps.after = lambda: (_ for _ in ()).throw(DependencyTimeout("lamp", "it did not answer"))
    assert isinstance(till.switch(), Failed)
    assert till.sums == (PRICE, NOTHING)
    till.recover()
    till.door.clock.advance(timedelta(days=90))
    till.recover()
    assert till.sums == (PRICE, NOTHING)
    till.door.lamps.blind = False
    till.recover()
    assert till.sums == (NOTHING, COST)


def test_a_record_that_cannot_be_written_gives_back_what_was_set_aside(till: Till) -> None:
    till.audit.refuses = {RecordKind.INTENT}
    outcome = till.switch()
    assert isinstance(outcome, Refused)
    assert (outcome.kind, till.sums, till.door.lamps.switched) == ("audit", (NOTHING, NOTHING), 0)


def test_a_ledger_that_is_away_refuses_the_call(till: Till) -> None:
    till.ledger.away = DOWN
    outcome = till.switch()
    assert isinstance(outcome, Refused)
    assert (outcome.kind, till.door.lamps.switched) == ("budget", 0)
    assert "it is away" in outcome.reason


def test_a_ledger_that_goes_away_in_mid_call_leaves_it_set_aside_and_settles_later(till: Till) -> None:
    till.door.lamps.after = lambda: setattr(till.ledger, "away", DOWN)
    assert isinstance(till.switch(), Done)
    assert till.sums == (PRICE, NOTHING)
    assert [event.answer for event in till.events] == ["open"]
    till.ledger.away = None
    till.recover()
    assert till.sums == (NOTHING, COST)


def _dies(till: Till, point: str) -> None:
    where, when = point.split(": ")
    if where == "lamp":
        setattr(till.door.lamps, when, lambda: (_ for _ in ()).throw(Killed(point)))
    else:
        (till.ledger if where == "ledger" else till.audit).dies = when


POINTS = [
    "ledger: before reserve",
    "ledger: after reserve",
    "chain: before intent",
    "chain: after intent",
    "lamp: before",
    "lamp: after",
    "chain: before outcome",
    "chain: after outcome",
    "ledger: before settle",
    "ledger: after settle",
]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("again", [True, False], ids=["made again", "given up"])
def test_whenever_the_process_dies_what_happened_is_paid_once_and_what_did_not_is_not(
    till: Till, point: str, again: bool
) -> None:
    _dies(till, point)
    with pytest.raises(Killed):
        till.switch()
    till.reborn()
    till.recover()
    if again:
        assert isinstance(till.switch(), Done)
    assert till.door.lamps.switched <= 1
    assert till.sums == (NOTHING, COST if till.door.lamps.switched else NOTHING)
    assert till.ledger.faults() == []


@pytest.mark.parametrize("point", POINTS)
def test_dying_again_while_recovering_changes_nothing(till: Till, point: str) -> None:
    _dies(till, point)
    with pytest.raises(Killed):
        till.switch()
    for death in ("ledger: before settle", "ledger: after settle", "ledger: before release", "ledger: after release"):
        till.reborn()
        _dies(till, death)
        try:
            till.recover()
        except Killed:
            continue
    till.reborn()
    till.recover()
    assert till.sums == (NOTHING, COST if till.door.lamps.switched else NOTHING)
    assert till.ledger.faults() == []


def test_a_second_try_whose_process_died_before_its_intent_does_not_pay_the_first_again(till: Till) -> None:
    till.door.lamps.before = lambda: (_ for _ in ()).throw(DependencyUnavailable("lamp", "it is broken"))
    till.switch()
    till.reborn()
    _dies(till, "chain: before intent")
    with pytest.raises(Killed):
        till.switch()
    till.reborn()
    till.recover()
    assert till.sums == (NOTHING, WASTE)


def test_a_reading_is_paid_each_time_and_one_that_died_in_full(till: Till) -> None:
    for _ in range(2):
        assert isinstance(till.door.read(), Done)
    assert till.sums == (NOTHING, COST.plus(COST))
    till.ledger.dies = "before settle"
    with pytest.raises(Killed):
        till.door.read()
    till.reborn()
    till.recover()
    assert till.sums == (NOTHING, COST.plus(COST).plus(PRICE))


def test_a_reading_that_fails_has_cost_what_it_did(till: Till) -> None:
    assert isinstance(till.door.read("cellar"), Failed)
    assert till.sums == (NOTHING, WASTE)


def test_a_result_that_tells_no_amount_is_charged_in_full(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    def nonsense(*_: object) -> Amounts:
        raise InvalidInput("usd", "nan is no amount of money", "Give a number")

    monkeypatch.setattr(type(till.door.gate.registry.get("promote")), "spent", nonsense)
    assert isinstance(till.switch(), Done)
    assert till.sums == (NOTHING, PRICE)


def test_cycles_of_a_day_are_counted_once_each_and_the_next_is_refused(till: Till) -> None:
    first, second, third = (till.cycle(f"si_2026_01_01_00{n}") for n in (1, 2, 3))
    for _ in range(3):
        till.purse.admit(first)
    till.purse.admit(second)
    with pytest.raises(BudgetExhausted, match="1 cycles needed, 0 cycles left of 2 cycles"):
        till.purse.admit(third)
    assert [s.spent.cycles for s in till.ledger.accounts("day/")] == [2]
    till.door.clock.advance(timedelta(days=1))
    till.purse.admit(till.cycle("si_2026_01_02_001"))


@pytest.mark.parametrize("point", ["before reserve", "after reserve", "before settle", "after settle"])
def test_a_cycle_whose_process_died_while_it_was_counted_is_counted_once(till: Till, point: str) -> None:
    till.ledger.dies = point
    with pytest.raises(Killed):
        till.purse.admit(till.cycle())
    till.reborn()
    till.purse.admit(till.cycle())
    assert [s.used.cycles for s in till.ledger.accounts("day/")] == [1]
    assert till.ledger.faults() == []


def test_money_left_is_that_of_the_smaller_account_and_none_where_nobody_can_say() -> None:
    till = Till(limit=0.05)
    assert till.purse.left_cents(till.door.scope) == 5
    key = "ask/x"
    till.purse.reserve(key, till.door.scope, Amounts(usd_micros=30_000))
    assert till.purse.left_cents(till.door.scope) == 5
    till.purse.settle(key, Amounts(usd_micros=30_001))
    assert till.purse.left_cents(till.door.scope) == 1
    till.ledger.account = lambda name: (_ for _ in ()).throw(DOWN)  # type: ignore[method-assign]
    assert till.purse.left_cents(till.door.scope) == 0


def test_the_alarm_of_a_period_is_told_once() -> None:
    till = Till(limit=5)
    for number in range(3):
        till.purse.reserve(f"ask/{number}", till.door.scope, Amounts(usd_micros=450_000))
        till.purse.settle(f"ask/{number}", Amounts(usd_micros=450_000)) if number < 2 else None
        if number == 1:
            break
    assert [event.answer for event in till.events] == ["alarm"]
    assert till.events[0].details["share"] == pytest.approx(0.9)


def test_a_period_begins_anew_and_a_cycle_does_not() -> None:
    till = Till(limit=0.5)
    till.purse.reserve("ask/1", till.door.scope, Amounts(usd_micros=400_000))
    till.purse.settle("ask/1", Amounts(usd_micros=400_000))
    till.door.clock.advance(timedelta(days=1))
    with pytest.raises(BudgetExhausted, match=f"cycle/{CYCLE}"):
        till.purse.reserve("ask/2", till.door.scope, Amounts(usd_micros=200_000))
    assert len(till.ledger.accounts("period/")) == 2


QUESTION = f"ask/{CYCLE}/diagnose/diagnosis"


def _asked(till: Till) -> None:
    till.purse.reserve(QUESTION, till.door.scope, Amounts(tokens=1000, usd_micros=50))


def test_a_question_whose_process_died_is_charged_by_its_kept_answer(till: Till) -> None:
    _asked(till)
    kept = {"reservation": QUESTION, "tokens": 120, "cost_usd": 0.000_007, "value": {}}
    till.purse.settle_left(till.cycle(diagnosis=kept), till.audit)
    assert till.sums == (NOTHING, Amounts(tokens=120, usd_micros=7))


def test_a_question_whose_answer_was_never_kept_is_charged_in_full(till: Till) -> None:
    _asked(till)
    till.purse.settle_left(till.cycle(), till.audit)
    assert till.sums == (NOTHING, Amounts(tokens=1000, usd_micros=50))


def test_a_question_asked_again_over_an_open_one_charges_both(till: Till) -> None:
    _asked(till)
    _asked(till)
    till.purse.settle(QUESTION, Amounts(tokens=10))
    assert till.sums == (NOTHING, Amounts(tokens=1010, usd_micros=50))


def test_what_another_cycle_has_set_aside_is_left_alone(till: Till) -> None:
    _asked(till)
    assert till.purse.settle_left(till.cycle("si_2026_01_01_002"), till.audit) == []
    assert till.sums[0] == Amounts(tokens=1000, usd_micros=50)


def test_what_is_settled_again_or_given_back_after_changes_nothing(till: Till) -> None:
    _asked(till)
    steps: list[Callable[[], None]] = [
        lambda: till.purse.settle(QUESTION, Amounts(tokens=10)),
        lambda: till.purse.settle(QUESTION, Amounts(tokens=99)),
        lambda: till.purse.release(QUESTION),
    ]
    for step in steps:
        step()
        assert till.sums == (NOTHING, Amounts(tokens=10))


@pytest.mark.parametrize(("tokens", "dollars", "micros"), [(5, 0.0, 0), (5, 0.000_000_1, 1), (0, 1.5, 1_500_000)])
def test_the_cost_of_an_answer_is_never_understated(tokens: int, dollars: float, micros: int) -> None:
    assert answer_cost(tokens, dollars) == Amounts(tokens=tokens, usd_micros=micros)


def test_what_leaves_no_record_is_charged_in_full_however_new_it_is(till: Till) -> None:
    key = f"read/{canonical_hash('x')[:32]}/abc"
    till.purse.reserve(key, till.door.scope, PRICE)
    held = till.ledger.reservation(key)
    assert held is not None
    assert reckon(held, [], {}).spent == PRICE


def test_an_effect_without_an_intent_never_began(till: Till) -> None:
    key = canonical_hash("x")[:32]
    till.purse.reserve(key, till.door.scope, PRICE)
    held = till.ledger.reservation(key)
    assert held is not None
    assert reckon(held, till.audit.of_key(key), {}).spent == NOTHING
