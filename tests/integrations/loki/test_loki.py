"""Loki: a stub of its query API, which parses the queries it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from adapters.logs.base import LogLine, LogsPort
from adapters.logs.loki import PAGE, LokiLogs
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.contract.logs_contract import LINES, NOW, START, LogsContract
from tests.stubs.loki import LokiApi, Stream
from tests.stubs.small_server import NOBODY, Said, SmallServer, endpoint, said
from tests.support.waiting import until


def nanos(line: LogLine) -> int:
    """Return a line's time as Loki counts it."""
    return round(line.ts.timestamp()) * 10**9


def entry(line: LogLine) -> tuple[int, str]:
    """Return a line as a program logs it: JSON, with a level of its own."""
    fields = json.loads(line.fields) if line.fields else {}
    return nanos(line), json.dumps({"level": line.level.upper(), "msg": line.event, **fields}, ensure_ascii=False)


OTHER = Stream({"app": "other"}, [(nanos(LINES[0]), "started failed shard 3 error")])
IN_LINES = [Stream({"app": "search", "pod": f"p{n}"}, [entry(line) for line in LINES[n::2]]) for n in (0, 1)]
IN_LABELS = [
    Stream({"app": "search", "level": line.level}, [(nanos(line), _text)])
    for line in LINES
    for _text in [json.dumps({"msg": line.event, **(json.loads(line.fields) if line.fields else {})})]
]


@contextmanager
def client(server: SmallServer, **fields: Any) -> Iterator[LokiLogs]:
    """Return the adapter on a running server; `url`, `token` and the like are the endpoint's."""
    names = ("url", "token", "timeout", "attempts", "username", "password")
    of_endpoint = {name: fields.pop(name) for name in names if name in fields}
    given = {"selector": '{app="search"}', **fields}
    logs = LokiLogs(endpoint=endpoint(**{"url": server.url, **of_endpoint}), clock=FrozenClock(NOW), **given)
    try:
        yield logs
    finally:
        logs.close()


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer(LokiApi([*IN_LINES, OTHER])) as running:
        yield running


@pytest.mark.integration("loki", "works")
class TestLevelsInLines(LogsContract):
    @pytest.fixture
    def logs(self, server: SmallServer) -> Iterator[LogsPort]:
        with client(server) as logs:
            yield logs


@pytest.mark.integration("loki", "works")
class TestLevelsInLabels(LogsContract):
    @pytest.fixture
    def logs(self) -> Iterator[LogsPort]:
        with SmallServer(LokiApi([*IN_LABELS, OTHER])) as server, client(server, level_label="level") as logs:
            yield logs


@pytest.mark.integration("loki", "works")
def test_many_lines_come_in_pages_and_none_is_lost_or_doubled() -> None:
    # Ten lines share each millisecond, so that pages end inside of one.
    lines = [(nanos(LINES[0]) + (n // 10) * 10**6, f"line {n}") for n in range(2 * PAGE + 300)]
    with SmallServer(LokiApi([Stream({"app": "search"}, lines)])) as server, client(server) as logs:
        found = logs.search(START, limit=5000)
        assert sorted(line.event for line in found.lines) == sorted(text for _, text in lines)
        assert found.complete
        assert len(server.seen) >= 3
        assert not logs.search(START, level="error", limit=5).lines


@pytest.mark.integration("loki", "works")
def test_a_search_that_never_ends_is_ended() -> None:
    lines = [(nanos(LINES[0]) + n * 1000, "info") for n in range(12 * PAGE)]
    with SmallServer(LokiApi([Stream({"app": "search"}, lines)])) as server, client(server) as logs:
        found = logs.search(START, level="error", limit=5)
    assert found.lines == ()
    assert not found.complete


@pytest.mark.integration("loki", "works")
def test_the_tenant_and_the_user_are_sent() -> None:
    with SmallServer(LokiApi([*IN_LINES], tenant="team")) as server:
        with client(server, tenant="team", username="reader", password="s3cret") as logs:
            assert "streams match" in logs.check()
        assert server.seen[-1].headers["authorization"].startswith("Basic ")


@pytest.mark.integration("loki", "refused")
def test_without_the_token_it_says_which_credentials(server: SmallServer) -> None:
    server.header = ("Authorization", "Bearer right")
    with (
        client(server, token="wrong") as logs,
        pytest.raises(DependencyUnavailable, match=r"credentials of logs\.http"),
    ):
        logs.search(START)
    with client(server, url=NOBODY) as logs, pytest.raises(DependencyUnavailable, match=r"logs\.http\.url"):
        logs.search(START)


@pytest.mark.integration("loki", "slow")
def test_a_late_answer_is_asked_for_again_and_then_given_up(server: SmallServer) -> None:
    server.delay = 30
    with (
        client(server, timeout=timedelta(milliseconds=300), attempts=2) as logs,
        pytest.raises(DependencyTimeout, match="in time"),
    ):
        logs.search(START)
    until(lambda: len(server.seen) >= 2)
    assert len(server.seen) == 2


def _streams(*values: Any) -> Said:
    result = [{"stream": {"app": "search"}, "values": list(values)}]
    return said({"status": "success", "data": {"resultType": "streams", "result": result}})


@pytest.mark.integration("loki", "lying")
@pytest.mark.parametrize(
    "lie",
    [
        _streams([str(nanos(LINES[0]) - 10**12), "a line of another time"]),
        _streams(["noon", "a line without a time"]),
        _streams(["1"]),
        said({"status": "success", "data": {"resultType": "matrix", "result": []}}),
        said({"status": "success", "data": {"resultType": "streams", "result": [{"values": []}]}}),
        said({"status": "error", "error": "too many outstanding requests"}),
        Said(200, b'{"status": "success", "data": {"resu'),
    ],
)
def test_an_answer_that_breaks_the_protocol_is_no_line(server: SmallServer, lie: Said) -> None:
    server.lie = lie
    with client(server) as logs, pytest.raises(DependencyLied):
        logs.search(START)


@pytest.mark.integration("loki", "misconfigured")
def test_each_way_of_misconfiguring_it_has_its_own_remedy(server: SmallServer) -> None:
    with client(server, selector='{app="shop"}') as logs, pytest.raises(ConfigurationError, match="labels there: app"):
        logs.check()
    with (
        client(server, url=f"{server.url}/grafana") as logs,
        pytest.raises(ConfigurationError, match=r"logs\.http\.url"),
    ):
        logs.check()
    for selector in ("", "app=search", '{app="search"} |= "x"', "{}"):
        with pytest.raises(ConfigurationError, match=r"logs\.selector"), client(server, selector=selector):
            pass
    with pytest.raises(ConfigurationError, match=r"logs\.level_label"), client(server, level_label="a b"):
        pass
    server.answer = LokiApi([*IN_LINES], tenant="team")
    with client(server) as logs, pytest.raises(DependencyUnavailable, match="no org id"):
        logs.check()
    server.answer = LokiApi([*IN_LINES], most=100)
    with client(server) as logs, pytest.raises(ConfigurationError, match="max entries limit"):
        logs.search(START)
    server.lie = Said(200, b"<html>Grafana</html>", "text/html")
    with client(server) as logs, pytest.raises(DependencyLied, match=r"logs\.http\.url"):
        logs.check()
