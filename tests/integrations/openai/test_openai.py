"""The OpenAI-compatible client against an endpoint that misbehaves, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.llm.base import ChatMessage, ChatPort, ToolCall
from adapters.llm.openai import OpenAIChat, Price
from domain.clock import FrozenClock, SystemClock
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.contract.llm_contract import ASKED, TOOL, ChatContract
from tests.stubs.chat_server import ChatStub, Misbehaviour, Script, says

Make = Callable[..., tuple[OpenAIChat, ChatStub]]


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def make(clock: FrozenClock) -> Iterator[Make]:
    made: list[tuple[OpenAIChat, ChatStub]] = []

    def build(script: Script | None = None, *, client: Mapping[str, Any] | None = None, **stub: Any) -> Any:
        endpoint = ChatStub(script, **stub)
        options = {"clock": clock, "timeout": timedelta(seconds=30), **(client or {})}
        chat = OpenAIChat(model="stub-1", api_key="secret", base_url=endpoint.start(), **options)
        made.append((chat, endpoint))
        return chat, endpoint

    yield build
    for chat, endpoint in made:
        chat.close()
        endpoint.stop()


@pytest.mark.integration("openai", "lying")
@pytest.mark.parametrize(
    ("how", "error", "requests"),
    [
        (Misbehaviour.MALFORMED_JSON, DependencyLied, 2),
        (Misbehaviour.UNKNOWN_TOOL, DependencyLied, 2),
        (Misbehaviour.WRONG_TYPES, DependencyLied, 2),
        (Misbehaviour.EMPTY, DependencyLied, 2),
        (Misbehaviour.STATUS_429, DependencyUnavailable, 3),
        (Misbehaviour.STATUS_500, DependencyUnavailable, 3),
    ],
)
def test_a_misbehaving_endpoint_ends_in_the_right_error_after_bounded_retries(
    make: Make, how: Misbehaviour, error: type[DependencyError], requests: int
) -> None:
    chat, stub = make(misbehaviour=how)
    with pytest.raises(error, match="stub-1"):
        chat.complete(ASKED, [TOOL], task="diagnosis")
    assert len(stub.requests) == requests


@pytest.mark.integration("openai", "works")
@pytest.mark.parametrize("how", [m for m in Misbehaviour if m not in (Misbehaviour.HANG, Misbehaviour.CLAIMS_SUCCESS)])
def test_one_bad_answer_is_survived(make: Make, how: Misbehaviour) -> None:
    chat, _ = make(says("fine again"), misbehaviour=how, times=1)
    tools = [] if how is Misbehaviour.ENDLESS_TOOL_CALLS else [TOOL]
    reply = chat.complete(ASKED, tools, task="diagnosis")
    assert reply.text == ("I need to look further." if how is Misbehaviour.ENDLESS_TOOL_CALLS else "fine again")


@pytest.mark.integration("openai", "slow")
def test_a_hang_is_a_timeout_within_the_deadline(make: Make) -> None:
    system = SystemClock()
    limits = {"clock": system, "timeout": timedelta(seconds=0.3), "deadline": timedelta(seconds=0.5)}
    chat, _ = make(misbehaviour=Misbehaviour.HANG, client=limits)
    before = system.monotonic()
    with pytest.raises(DependencyTimeout, match="in time"):
        chat.complete(ASKED, [TOOL], task="diagnosis")
    assert system.monotonic() - before < 20


@pytest.mark.integration("openai", "slow")
def test_an_answer_that_drips_is_a_timeout_too(make: Make) -> None:
    system = SystemClock()
    limits = {"clock": system, "timeout": timedelta(seconds=0.3), "deadline": timedelta(seconds=0.5)}
    chat, _ = make(drip=0.05, client=limits)
    before = system.monotonic()
    with pytest.raises(DependencyTimeout, match="in time"):
        chat.complete(ASKED, [TOOL], task="diagnosis")
    assert system.monotonic() - before < 20


@pytest.mark.integration("openai", "lying")
def test_an_answer_without_bounds_is_a_lie(make: Make) -> None:
    chat, _ = make(lambda _m, _t: {"content": "x" * 9_000_000})
    with pytest.raises(DependencyLied, match="longer"):
        chat.complete(ASKED, [TOOL], task="diagnosis")


@pytest.mark.integration("openai", "lying")
def test_endless_tool_calls_come_back_one_reply_at_a_time(make: Make) -> None:
    chat, _ = make(misbehaviour=Misbehaviour.ENDLESS_TOOL_CALLS)
    for _ in range(3):
        (call,) = chat.complete(ASKED, [TOOL], task="diagnosis").tool_calls
        assert (call.name, dict(call.arguments)) == ("query_metric", {"name": "x"})


@pytest.mark.integration("openai", "lying")
def test_a_claim_of_success_is_text_like_any_other(make: Make) -> None:
    chat, _ = make(misbehaviour=Misbehaviour.CLAIMS_SUCCESS)
    reply = chat.complete(ASKED, [TOOL], task="diagnosis")
    assert "fixed and promoted" in reply.text
    assert reply.tool_calls == ()


@pytest.mark.integration("openai", "lying")
@pytest.mark.parametrize(
    "arguments",
    ["[1, 2]", '"ndcg"', "null", '{"name": NaN}', '{"name": 7}', '{"window_s": 60}', '{"name": "a", "window_s": "60"}'],
)
def test_arguments_that_are_no_object_or_do_not_fit_the_schema_are_refused(make: Make, arguments: str) -> None:
    chat, stub = make(lambda _m, _t: {"tool_calls": [{"name": "query_metric", "arguments": arguments}]})
    with pytest.raises(DependencyLied, match="query_metric"):
        chat.complete(ASKED, [TOOL], task="diagnosis")
    assert len(stub.requests) == 2


@pytest.mark.integration("openai", "lying")
def test_a_body_that_is_no_completion_is_a_lie(make: Make) -> None:
    chat, _ = make(lambda _m, _t: {"content": 42})
    with pytest.raises(DependencyLied, match="content"):
        chat.complete(ASKED, [], task="diagnosis")


@pytest.mark.integration("openai", "refused")
def test_retry_after_is_respected(make: Make, clock: FrozenClock) -> None:
    chat, stub = make(says("ok"), misbehaviour=Misbehaviour.STATUS_429, times=1, retry_after="7")
    before = clock.now()
    assert chat.complete(ASKED, [], task="diagnosis").text == "ok"
    assert clock.now() - before == timedelta(seconds=7)
    assert len(stub.requests) == 2


@pytest.mark.integration("openai", "refused")
@pytest.mark.parametrize("header", ["3600", "inf"])
def test_a_retry_after_beyond_our_patience_ends_the_call_at_once(make: Make, clock: FrozenClock, header: str) -> None:
    chat, stub = make(misbehaviour=Misbehaviour.STATUS_429, retry_after=header, client={"attempts": 1})
    before = clock.now()
    with pytest.raises(DependencyUnavailable, match="rate"):
        chat.complete(ASKED, [], task="diagnosis")
    assert len(stub.requests) == 1
    assert clock.now() == before


@pytest.mark.integration("openai", "refused")
def test_waits_grow_and_stay_within_the_deadline(make: Make, clock: FrozenClock) -> None:
    limits = {"attempts": 50, "deadline": timedelta(seconds=30)}
    chat, stub = make(misbehaviour=Misbehaviour.STATUS_500, client=limits)
    before = clock.now()
    with pytest.raises(DependencyUnavailable, match="500"):
        chat.complete(ASKED, [], task="diagnosis")
    assert clock.now() - before <= timedelta(seconds=30)
    assert 4 <= len(stub.requests) < 50


@pytest.mark.integration("openai", "refused")
def test_a_refused_connection_is_unavailable(clock: FrozenClock) -> None:
    chat = OpenAIChat(model="m", api_key="k", base_url="http://127.0.0.1:9/v1", clock=clock)
    with pytest.raises(DependencyUnavailable, match="cannot be reached"):
        chat.complete(ASKED, [], task="diagnosis")
    with pytest.raises(DependencyUnavailable):
        chat.check()


@pytest.mark.integration("openai", "misconfigured")
def test_an_endpoint_that_does_not_know_the_path_says_what_to_check(clock: FrozenClock) -> None:
    stub = ChatStub()
    lost = OpenAIChat(model="m", api_key="k", base_url=f"{stub.start()}/nowhere", clock=clock)
    with pytest.raises(DependencyUnavailable, match="OPENAI_BASE_URL"):
        lost.complete(ASKED, [], task="diagnosis")
    stub.stop()
    assert stub.requests == []


@pytest.mark.integration("openai", "works")
def test_the_conversation_goes_over_the_wire_as_the_protocol_has_it(make: Make) -> None:
    chat, stub = make(says("done"), client={"temperature": 0.0, "structured": True})
    call = ToolCall(id="c1", name="query_metric", arguments={"name": "ndcg"})
    told = [
        *ASKED,
        ChatMessage(role="assistant", tool_calls=(call,)),
        ChatMessage(role="tool", content='{"value": 1}', tool_call_id="c1", name="query_metric"),
    ]
    chat.complete(told, [TOOL], task="diagnosis", answer_schema={"type": "object"})
    (sent,) = stub.requests
    assert sent["model"] == "stub-1"
    assert sent["temperature"] == 0.0
    assert sent["tools"] == [TOOL]
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert sent["messages"][2]["tool_calls"][0]["function"] == {"name": "query_metric", "arguments": '{"name": "ndcg"}'}
    assert sent["messages"][3] == {"role": "tool", "tool_call_id": "c1", "content": '{"value": 1}'}


@pytest.mark.integration("openai", "works")
def test_tokens_and_cost_are_the_vendors_count(make: Make) -> None:
    chat, _ = make(client={"price": Price(prompt=2.0, completion=10.0)})
    reply = chat.complete(ASKED, [], task="diagnosis")
    assert reply.tokens == 120
    assert reply.cost_usd == pytest.approx((100 * 2 + 20 * 10) / 1e6)


def _rewritten(messages: Sequence[Mapping[str, Any]], _tools: object) -> Mapping[str, Any]:
    return {"content": json.dumps([f"how to {text}" for text in json.loads(messages[-1]["content"])])}


@pytest.mark.integration("openai", "works")
def test_paraphrases_come_back_in_order_by_batches(make: Make) -> None:
    chat, stub = make(_rewritten)
    texts = [f"query {number}" for number in range(45)]
    assert chat.paraphrase(texts) == [f"how to {text}" for text in texts]
    assert len(stub.requests) == 3
    assert chat.paraphrase([]) == []


@pytest.mark.integration("openai", "lying")
@pytest.mark.parametrize("answer", ["no json", '["only one"]', '["a", ""]', '["a", 7]', '{"a": 1}'])
def test_paraphrases_that_do_not_fit_leave_the_texts_as_they_are_and_say_so(make: Make, answer: str) -> None:
    notes: list[str] = []
    chat, _ = make(says(answer), client={"on_note": notes.append})
    assert chat.paraphrase(["one", "two"]) == ["one", "two"]
    assert len(notes) == 1
    assert notes[0].startswith("2 texts")


@pytest.mark.integration("openai", "works")
def test_paraphrases_in_a_code_fence_are_read(make: Make) -> None:
    chat, _ = make(says('```json\n["uno", "dos"]\n```'))
    assert chat.paraphrase(["one", "two"]) == ["uno", "dos"]


@pytest.mark.integration("openai", "works")
def test_check_lists_the_model(make: Make) -> None:
    chat, stub = make()
    assert chat.check() == "model: stub-1 at 127.0.0.1, listed"
    assert stub.requests == []


@pytest.mark.integration("openai", "works")
class TestOpenAIChat(ChatContract):
    @pytest.fixture
    def chat(self) -> Iterator[Callable[[Mapping[str, Any]], ChatPort]]:
        started: list[ChatStub] = []

        def make(scripted: Mapping[str, Any]) -> ChatPort:
            stub = ChatStub(lambda _messages, _tools: scripted)
            started.append(stub)
            return OpenAIChat(model="stub-1", api_key="k", base_url=stub.start(), clock=FrozenClock())

        yield make
        for stub in started:
            stub.stop()
