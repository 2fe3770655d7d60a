"""An endpoint that refuses the key, has no such model or is another product, and settings that cannot be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from adapters.llm.base import ChatMessage, ChatReply
from adapters.llm.breaker import Circuit, CircuitBreaker, GuardedChat
from adapters.llm.memory import ScriptedChat
from adapters.llm.openai import OpenAIChat
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.contract.llm_contract import ASKED
from tests.stubs.chat_server import ChatStub
from tests.stubs.small_server import NOBODY, Asked, Said, SmallServer, said

refused = pytest.mark.integration("openai", "refused")
slow = pytest.mark.integration("openai", "slow")
lying = pytest.mark.integration("openai", "lying")
misconfigured = pytest.mark.integration("openai", "misconfigured")


def chat(url: str, **settings: Any) -> OpenAIChat:
    given = {"model": "m", "api_key": "k", "clock": FrozenClock(), "timeout": timedelta(seconds=30), **settings}
    return OpenAIChat(base_url=f"{url}/v1", **given)


@refused
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_asked_with_once(status: int) -> None:
    with SmallServer(lambda _: said({"error": {"message": "no"}}, status)) as server:
        for ask in (chat(server.url).check, lambda: chat(server.url).complete(ASKED, [], task="plan")):
            with pytest.raises(DependencyUnavailable, match=rf"refused the key \(status {status}\).*OPENAI_API_KEY"):
                ask()
        assert len(server.seen) == 2


@refused
def test_an_endpoint_that_is_down_is_left_alone_and_the_fallback_answers() -> None:
    clock, notes = FrozenClock(), list[str]()

    def fallback(_m: Sequence[ChatMessage], _t: Sequence[Mapping[str, Any]], _k: str) -> ChatReply:
        return ChatReply(text="by the book")

    guarded = GuardedChat(
        chat(NOBODY, clock=clock, attempts=1),
        ScriptedChat(fallback, "playbook"),
        CircuitBreaker("m", clock, failures=2),
        notes.append,
    )
    for _ in range(3):
        assert guarded.complete(ASKED, [], task="plan").model == "playbook"
    assert guarded.state is Circuit.OPEN
    assert "Check OPENAI_BASE_URL and the network" in notes[0]
    assert "left alone" in notes[2]


@slow
def test_a_check_that_hangs_is_a_timeout_with_the_setting_to_raise() -> None:
    with (
        SmallServer(lambda _: said({}), delay=30) as server,
        pytest.raises(DependencyTimeout, match="EVERCREW_MODEL_TIMEOUT_S"),
    ):
        chat(server.url, timeout=timedelta(seconds=0.1)).check()


@lying
@pytest.mark.parametrize("answer", [Said(200, b"<html>Sign in</html>", "text/html"), said([]), said({"data": [1]})])
def test_a_list_of_models_that_is_none_is_a_lie(answer: Said) -> None:
    with SmallServer(lambda _: answer) as server, pytest.raises(DependencyLied, match="OPENAI_BASE_URL"):
        chat(server.url).check()


@misconfigured
def test_a_model_the_endpoint_does_not_have_is_found_out_by_the_check() -> None:
    def answer(request: Asked) -> Said:
        if request.path == "/v1/models":
            return said({"object": "list", "data": [{"id": "other", "object": "model"}]})
        return said({"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}, 404)

    with SmallServer(answer) as server, pytest.raises(DependencyUnavailable, match="EVERCREW_MODEL is a model"):
        chat(server.url).check()


@misconfigured
def test_a_model_that_answers_without_being_listed_is_well() -> None:
    with ChatStub() as url:
        client = chat(url.removesuffix("/v1"), model="private")
        assert client.check().endswith("answers; it is not among the 1 models that are listed")


@misconfigured
@pytest.mark.parametrize("url", ["", "nonsense", "ftp://model.example", "http://model:port"])
def test_an_address_that_is_none_names_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        OpenAIChat(model="m", api_key="k", clock=FrozenClock(), base_url=url)


@misconfigured
@pytest.mark.parametrize("key", ["", "  ", "sk-é", "sk-1\n"])
def test_a_key_that_can_be_none_names_the_setting_and_not_the_key(key: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as told:
        chat(NOBODY, api_key=key)
    assert "sk-" not in str(told.value)
