"""What the check says of a LangSmith that refuses the key, is late or is another product, and of settings."""

from __future__ import annotations

import pytest

from adapters.traces.langsmith import LangSmithTraces
from domain.clock import SystemClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.stubs.langsmith_server import LangSmithStub
from tests.stubs.small_server import NOBODY, Said, SmallServer, said
from tests.support.sinks import flushed

refused = pytest.mark.integration("langsmith", "refused")
slow = pytest.mark.integration("langsmith", "slow")
lying = pytest.mark.integration("langsmith", "lying")
misconfigured = pytest.mark.integration("langsmith", "misconfigured")


def traces(url: str, key: str = "k", timeout_s: float = 5.0) -> LangSmithTraces:
    return LangSmithTraces(api_key=key, clock=SystemClock(), endpoint=url, timeout_s=timeout_s)


@pytest.mark.integration("langsmith", "works")
def test_the_check_asks_with_the_key_and_names_the_project() -> None:
    stub = LangSmithStub(key="right")
    assert "langsmith 0.0.0 at http://127.0.0.1" in (told := traces(stub.start(), "right").check())
    assert "project evercrew" in told
    stub.stop()


@refused
def test_a_key_that_is_refused_is_found_out_though_anybody_may_ask_for_the_version() -> None:
    stub = LangSmithStub(key="right")
    with pytest.raises(DependencyUnavailable, match=r"refuses the key.*LANGSMITH_API_KEY.*region"):
        traces(stub.start(), "wrong").check()
    stub.stop()


@refused
def test_a_key_it_cannot_read_is_refused_alike() -> None:
    with (
        SmallServer(lambda _: said({"detail": "Invalid token"}, 401)) as server,
        pytest.raises(DependencyUnavailable, match="LANGSMITH_API_KEY"),
    ):
        traces(server.url).check()


@refused
def test_nobody_at_the_address_is_unavailable() -> None:
    with pytest.raises(DependencyUnavailable, match="LANGSMITH_ENDPOINT and the network"):
        traces(NOBODY).check()


@slow
def test_a_check_that_is_not_answered_is_a_timeout() -> None:
    with SmallServer(lambda _: said({}), delay=30) as server, pytest.raises(DependencyTimeout, match="in time"):
        traces(server.url, timeout_s=0.2).check()


@lying
def test_a_broken_endpoint_is_told_with_what_it_said() -> None:
    with SmallServer(lambda _: Said(500, b"oops")) as server, pytest.raises(DependencyUnavailable, match="500"):
        traces(server.url).check()


@lying
def test_an_answer_to_a_post_that_is_a_page_does_not_stop_the_tracing() -> None:
    with SmallServer(lambda _: Said(302, b"<html>Sign in</html>", "text/html", {"Location": "/login"})) as server:
        given = traces(server.url)
        with given.span("call", "tool", {}, cycle_id="c1"):
            pass
        flushed(given)
        assert given.lost == 2


@misconfigured
@pytest.mark.parametrize(
    "answer", [Said(200, b"<html>Welcome</html>", "text/html"), said({}), said([]), Said(404, b"not here")]
)
def test_another_product_at_the_address_is_told(answer: Said) -> None:
    with (
        SmallServer(lambda _: answer) as server,
        pytest.raises(DependencyLied, match=r"not LangSmith.*Mend LANGSMITH_ENDPOINT"),
    ):
        traces(server.url).check()


@misconfigured
@pytest.mark.parametrize("url", ["", "nonsense", "ftp://smith.example", "http://"])
def test_an_address_that_is_none_names_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="LANGSMITH_ENDPOINT"):
        traces(url)


@misconfigured
@pytest.mark.parametrize("key", ["", "lsv2_é", "lsv2_1\n"])
def test_a_key_that_can_be_none_names_the_setting_and_not_the_key(key: str) -> None:
    with pytest.raises(ConfigurationError, match="LANGSMITH_API_KEY") as told:
        traces(NOBODY, key)
    assert "lsv2" not in str(told.value)
