"""The circuit breaker and the chat that falls back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from adapters.llm.base import ChatMessage, ChatReply
from adapters.llm.breaker import Circuit, CircuitBreaker, GuardedChat
from adapters.llm.memory import ScriptedChat
from domain.clock import FrozenClock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.contract.llm_contract import ASKED


class Endpoint:
    """Works or fails as it is told, and counts."""

    def __init__(self) -> None:
        self.failing = True
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failing:
            raise DependencyTimeout("endpoint", "it hangs")
        return "ok"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def breaker(clock: FrozenClock) -> CircuitBreaker:
    return CircuitBreaker("endpoint", clock)


def stands(guard: CircuitBreaker | GuardedChat) -> Circuit:
    return guard.state


def fail(breaker: CircuitBreaker, endpoint: Endpoint, times: int) -> None:
    for _ in range(times):
        with pytest.raises(DependencyTimeout):
            breaker.call(endpoint)


def test_five_failures_in_a_row_open_the_circuit(breaker: CircuitBreaker) -> None:
    endpoint = Endpoint()
    fail(breaker, endpoint, 4)
    assert stands(breaker) is Circuit.CLOSED
    fail(breaker, endpoint, 1)
    assert stands(breaker) is Circuit.OPEN
    with pytest.raises(DependencyUnavailable, match="left alone"):
        breaker.call(endpoint)
    assert endpoint.calls == 5


def test_a_success_starts_the_count_again(breaker: CircuitBreaker) -> None:
    endpoint = Endpoint()
    fail(breaker, endpoint, 4)
    endpoint.failing = False
    assert breaker.call(endpoint) == "ok"
    endpoint.failing = True
    fail(breaker, endpoint, 4)
    assert stands(breaker) is Circuit.CLOSED


def test_after_thirty_seconds_a_probe_that_works_closes_it(breaker: CircuitBreaker, clock: FrozenClock) -> None:
    endpoint = Endpoint()
    fail(breaker, endpoint, 5)
    clock.advance(timedelta(seconds=29))
    assert stands(breaker) is Circuit.OPEN
    clock.advance(timedelta(seconds=1))
    assert stands(breaker) is Circuit.HALF_OPEN
    endpoint.failing = False
    assert breaker.call(endpoint) == "ok"
    assert stands(breaker) is Circuit.CLOSED


def test_a_probe_that_fails_opens_it_for_another_thirty_seconds(breaker: CircuitBreaker, clock: FrozenClock) -> None:
    endpoint = Endpoint()
    fail(breaker, endpoint, 5)
    clock.advance(timedelta(seconds=30))
    fail(breaker, endpoint, 1)
    assert stands(breaker) is Circuit.OPEN
    clock.advance(timedelta(seconds=30))
    assert stands(breaker) is Circuit.HALF_OPEN


def test_only_one_probe_is_let_through_at_a_time(breaker: CircuitBreaker, clock: FrozenClock) -> None:
    fail(breaker, Endpoint(), 5)
    clock.advance(timedelta(seconds=30))
    inside, leave = threading.Event(), threading.Event()
    answers: list[str] = []

    def slow() -> str:
        inside.set()
        leave.wait(60)
        return "probe"

    probe = threading.Thread(target=lambda: answers.append(breaker.call(slow)))
    probe.start()
    assert inside.wait(60)
    second = Endpoint()
    with pytest.raises(DependencyUnavailable):
        breaker.call(second)
    leave.set()
    probe.join()
    assert answers == ["probe"]
    assert second.calls == 0
    assert stands(breaker) is Circuit.CLOSED


def test_an_error_of_our_own_neither_counts_nor_blocks_the_next_probe(
    breaker: CircuitBreaker, clock: FrozenClock
) -> None:
    def bug() -> str:
        raise ZeroDivisionError

    for _ in range(9):
        with pytest.raises(ZeroDivisionError):
            breaker.call(bug)
    assert stands(breaker) is Circuit.CLOSED
    endpoint = Endpoint()
    fail(breaker, endpoint, 5)
    clock.advance(timedelta(seconds=30))
    with pytest.raises(ZeroDivisionError):
        breaker.call(bug)
    endpoint.failing = False
    assert breaker.call(endpoint) == "ok"


def guarded(clock: FrozenClock, endpoint: Endpoint, said: list[str]) -> GuardedChat:
    def primary(_messages: Sequence[ChatMessage], _tools: Sequence[Mapping[str, Any]], _task: str) -> ChatReply:
        return ChatReply(text=endpoint())

    def fallback(messages: Sequence[ChatMessage], _tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        return ChatReply(text=f"{task} after {len(messages)} messages")

    breaker = CircuitBreaker("endpoint", clock)
    return GuardedChat(ScriptedChat(primary, "big"), ScriptedChat(fallback, "playbook"), breaker, said.append)


def test_the_fallback_answers_and_says_so(clock: FrozenClock) -> None:
    said: list[str] = []
    chat = guarded(clock, Endpoint(), said)
    reply = chat.complete(ASKED, [], task="diagnosis")
    assert (reply.text, reply.model) == ("diagnosis after 2 messages", "playbook")
    assert said == ["big -> playbook: endpoint: it hangs. Run `evercrew doctor` for a check of every connection"]


def test_an_open_circuit_spares_the_endpoint_and_still_says_so(clock: FrozenClock) -> None:
    said: list[str] = []
    endpoint = Endpoint()
    chat = guarded(clock, endpoint, said)
    for _ in range(8):
        assert chat.complete(ASKED, [], task="plan").model == "playbook"
    assert endpoint.calls == 5
    assert len(said) == 8
    assert stands(chat) is Circuit.OPEN
    endpoint.failing = False
    clock.advance(timedelta(seconds=30))
    assert chat.complete(ASKED, [], task="plan").model == "big"
    assert stands(chat) is Circuit.CLOSED


def test_an_answer_that_lies_counts_as_a_failure(clock: FrozenClock) -> None:
    breaker = CircuitBreaker("endpoint", clock, failures=1)

    def lie() -> str:
        raise DependencyLied("endpoint", "nonsense")

    with pytest.raises(DependencyLied):
        breaker.call(lie)
    assert stands(breaker) is Circuit.OPEN
