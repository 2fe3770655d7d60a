"""Models that run away: each is stopped by code, within its limits, and what it cost is counted.

The scripted models read nothing and heed nothing, and the prompts say nothing of tokens, money or time.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import prompts
from adapters.ledger.memory import MemoryLedger
from adapters.llm.base import ChatMessage, ChatPort, ChatReply, ToolCall
from adapters.llm.breaker import CircuitBreaker, GuardedChat
from adapters.llm.memory import ScriptedChat
from adapters.llm.openai import OpenAIChat, Price
from agents.meter import ANSWER, Meter, note_fallback, note_lost
from agents.playbook import Playbook
from agents.toolbelt import MAX_ARGUMENTS, MAX_CALLS
from crews.judges import CrewJudges
from crews.session import Limits
from domain.actor import Role
from domain.budget import Amounts
from domain.clock import SystemClock
from domain.errors import (
    BudgetExhausted,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    EvercrewError,
    ModelAnswerInvalid,
)
from policies.budget import BudgetProfile
from tests.crews.bench import Bench, brief, given_up
from tests.crews.findings import drift, fallen, situation
from tests.stubs.chat_server import ChatStub, Misbehaviour
from tests.support.waiting import until
from tools.purse import Purse

CYCLE = "cycle/si_2026_01_31_001"
PRICE = 0.000_001
Script = Callable[[Sequence[ChatMessage], Sequence[Mapping[str, Any]], str], ChatReply]


class Counted:
    """A bench whose questions are paid from a purse, and whose analyst follows a script."""

    def __init__(self, script: Script | ChatPort, limits: Limits, *, usd: float = 5, tokens: int = 4_000_000) -> None:
        self.asked = 0
        self._script = script

        def answer(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
            self.asked += 1
            assert callable(script)
            return script(messages, tools, task)

        made: ChatPort = ScriptedChat(answer, "runaway") if callable(script) else script
        self.bench = Bench(situation(), limits=limits)
        self.ledger = MemoryLedger(SystemClock())
        profile = BudgetProfile(
            cycle_usd=usd, cycle_tokens=tokens, period=timedelta(days=1), period_usd=100, alert_share=0.8
        )
        self.purse = Purse(self.ledger, profile, SystemClock())
        self.judges = CrewJudges(
            self.bench.gate,
            self.bench.roster,
            lambda role: made if role is Role.METRICS_ANALYST else Playbook(),
            self.bench._saw,
            self.bench.traces,
            limits,
            SystemClock(),
            self.purse,
        )

    def stopped(self, *kinds: type[EvercrewError]) -> str:
        """Ask, and return why it was stopped; nothing stays set aside."""
        with pytest.raises(kinds or (BudgetExhausted,)) as told:
            self.judges.diagnose(brief())
        assert self.ledger.open_reservations() == []
        assert self.ledger.faults() == []
        return str(told.value)

    @property
    def spent(self) -> Amounts:
        """What the cycle's account has spent."""
        standing = self.ledger.account(CYCLE)
        return standing.spent if standing is not None else Amounts()


def call(name: str, arguments: Mapping[str, Any], tokens: int | None = 100) -> ChatReply:
    """Return a reply that asks for a tool."""
    return ChatReply(tool_calls=(ToolCall(id="1", name=name, arguments=arguments),), tokens=tokens)


QUICK = Limits(time=timedelta(seconds=120), usd_per_token=PRICE)


def test_a_model_that_asks_the_same_for_ever_is_stopped() -> None:
    counted = Counted(lambda *_: call("signal_snapshot", {}), QUICK)
    counted.stopped()
    assert counted.asked <= 30
    assert counted.bench.asked == ["signal_snapshot"]
    assert counted.spent.tokens == 100 * counted.asked


def test_a_model_that_asks_for_tools_without_end_makes_so_many_calls_and_no_more() -> None:
    numbers = iter(range(10_000))
    counted = Counted(lambda *_: call("metric_query", {"signal": f"s{next(numbers)}"}), QUICK)
    counted.stopped()
    assert counted.asked <= 30
    assert len(counted.bench.asked) <= 2 * MAX_CALLS


def test_a_model_that_answers_garbage_for_ever_is_asked_once_more_and_no_further() -> None:
    counted = Counted(lambda *_: ChatReply(text="as I said: %%%", tokens=50), QUICK)
    assert "did not validate twice" in counted.stopped(ModelAnswerInvalid)
    assert counted.asked <= 4
    assert counted.spent == Amounts(tokens=50 * counted.asked)


def test_a_model_that_never_answers_is_left_behind_and_its_question_is_paid_by_estimate() -> None:
    let_go = threading.Event()

    def hang(*_: object) -> ChatReply:
        let_go.wait(120)
        return ChatReply(text="late", tokens=10**6)

    counted, said = Counted(hang, QUICK), ""
    others = threading.enumerate()

    def ask(limit: timedelta) -> bool:
        nonlocal counted, said
        counted = Counted(hang, Limits(time=limit, usd_per_token=PRICE))
        said = counted.stopped()
        return counted.asked > 0

    given_up(ask)
    assert "given up" in said
    spent = counted.spent
    assert ANSWER < spent.tokens < 20_000
    assert spent.usd_micros == spent.tokens
    left_behind = [thread for thread in threading.enumerate() if thread.name == "diagnosis" and thread not in others]
    assert left_behind
    assert all(thread.daemon for thread in left_behind)
    let_go.set()
    until(lambda: not any(thread.is_alive() for thread in left_behind))
    assert counted.spent == spent


def test_a_model_that_writes_huge_arguments_reaches_no_tool_and_is_stopped() -> None:
    huge = {"signal": "x" * (MAX_ARGUMENTS * 30)}
    counted = Counted(lambda *_: call("metric_query", huge, tokens=None), QUICK)
    assert "tokens were used" in counted.stopped()
    assert counted.bench.asked == []
    assert counted.asked <= 5
    assert counted.bench.audit.records() == []


def test_a_model_whose_answers_are_dear_is_stopped_by_their_price() -> None:
    def dear(*_: object) -> ChatReply:
        return call("signal_snapshot", {}).model_copy(update={"cost_usd": 0.04})

    counted = Counted(dear, Limits(usd=0.1, usd_per_token=PRICE))
    assert "0.1200 USD were used, 0.1000 are allowed for one question" in counted.stopped()
    assert counted.asked == 3
    assert counted.spent.usd_micros == 120_000


def test_so_many_model_calls_are_made_for_one_question_and_no_more() -> None:
    numbers = iter(range(10_000))
    counted = Counted(lambda *_: call("metric_query", {"signal": f"s{next(numbers)}"}), Limits(calls=5))
    assert "models were asked 5 times, 5 are allowed" in counted.stopped()
    assert counted.asked == 5


def test_a_prompt_that_would_not_fit_into_the_limit_is_not_even_sent() -> None:
    counted = Counted(lambda *_: call("signal_snapshot", {}), Limits(tokens=100))
    assert "0 tokens were used and about" in counted.stopped()
    assert counted.asked == 0
    assert counted.spent == Amounts()


def test_a_cycle_without_money_left_asks_nobody() -> None:
    counted = Counted(lambda *_: call("signal_snapshot", {}), QUICK, usd=0.3)
    assert "0.40 USD needed, 0.30 USD left of 0.30 USD" in counted.stopped()
    assert (counted.asked, counted.spent) == (0, Amounts())


def test_questions_are_asked_until_the_tokens_of_the_cycle_are_used_up() -> None:
    counted = Counted(lambda *_: ChatReply(text="%%%", tokens=90), Limits(tokens=10_000), tokens=10_300)
    for _ in range(2):
        counted.stopped(ModelAnswerInvalid)
    asked = counted.asked
    assert "10000 tokens needed, 9940 tokens left of 10300 tokens" in counted.stopped(BudgetExhausted)
    assert counted.asked == asked


def test_a_ledger_that_is_away_keeps_the_question_from_being_asked() -> None:
    counted = Counted(lambda *_: call("signal_snapshot", {}), QUICK)

    def away(*_: object, **__: object) -> None:
        raise DependencyUnavailable("ledger", "it is away")

    counted.ledger.reserve = away  # type: ignore[method-assign,assignment]
    assert "ledger: it is away" in counted.stopped(DependencyUnavailable)
    assert counted.asked == 0


@pytest.mark.parametrize("problem", [DependencyTimeout("m", "too late"), DependencyLied("m", "nonsense")])
def test_a_call_that_failed_after_the_model_worked_is_paid_by_estimate(problem: EvercrewError) -> None:
    def fails(*_: object) -> ChatReply:
        raise problem

    counted = Counted(fails, QUICK)
    counted.stopped(type(problem))
    assert counted.spent.tokens > ANSWER * counted.asked


def test_a_call_that_never_reached_a_model_costs_nothing() -> None:
    def fails(*_: object) -> ChatReply:
        raise DependencyUnavailable("m", "it cannot be reached")

    counted = Counted(fails, QUICK)
    counted.stopped(DependencyUnavailable)
    assert counted.spent == Amounts()


@pytest.mark.parametrize(
    ("misbehaviour", "paid"),
    [(Misbehaviour.HANG, True), (Misbehaviour.STATUS_500, True), (Misbehaviour.STATUS_429, False)],
)
def test_a_hosted_model_that_failed_is_paid_for_although_the_playbook_answered(
    misbehaviour: Misbehaviour, paid: bool
) -> None:
    with ChatStub(misbehaviour=misbehaviour) as base_url:
        endpoint = OpenAIChat(
            model="stub-1",
            api_key="not-a-key",
            clock=SystemClock(),
            base_url=base_url,
            timeout=timedelta(seconds=0.2 if misbehaviour is Misbehaviour.HANG else 20),
            attempts=2,
            backoff=timedelta(milliseconds=5),
            on_lost=note_lost,
            price=Price(prompt=1.0, completion=1.0),
        )
        guarded = GuardedChat(endpoint, Playbook(), CircuitBreaker("model", SystemClock()), note_fallback)
        counted = Counted(guarded, QUICK)
        with_answers = Bench(fallen(drift_report=drift(new=True)), limits=QUICK)
        judges = CrewJudges(
            with_answers.gate,
            with_answers.roster,
            lambda role: guarded,
            with_answers._saw,
            with_answers.traces,
            QUICK,
            SystemClock(),
            counted.purse,
        )
        answered = judges.diagnose(brief())
    assert answered.models == ("playbook",)
    assert (answered.tokens > ANSWER) is paid
    assert counted.spent.tokens == answered.tokens
    assert counted.spent.usd_micros == pytest.approx(answered.tokens, abs=2)


def test_calls_under_way_count_by_their_estimate_until_they_answer() -> None:
    meter = Meter(usd_per_token=PRICE)
    first, second = meter.begin(100), meter.begin(50)
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert meter.used == Amounts(tokens=150 + 2 * ANSWER, usd_micros=150 + 2 * ANSWER)
    meter.count(ChatReply(text="x", model="m", tokens=30, cost_usd=0.001), 40, first)
    assert meter.used == Amounts(tokens=80 + ANSWER, usd_micros=1000 + 50 + ANSWER)
    meter.failed(second, DependencyUnavailable("m", "refused"))
    assert meter.used == Amounts(tokens=30, usd_micros=1000)


def _texts() -> Iterator[str]:
    for path in sorted(Path(prompts.__file__).parent.rglob("*.md")):
        yield path.read_text(encoding="utf-8")


def test_no_prompt_asks_a_model_to_keep_to_tokens_money_or_time() -> None:
    said = re.compile(r"\b(token (limit|budget)|dollars?|usd|seconds left|time limit|max_tokens)\b", re.IGNORECASE)
    found = [match.group(0) for text in _texts() if (match := said.search(text))]
    assert found == []
