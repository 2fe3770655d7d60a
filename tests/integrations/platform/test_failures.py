"""The platform that refuses, drips or is another product, and an address that is none: each with its remedy."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from adapters.platform.http import HttpPlatform
from domain.clock import FrozenClock, SystemClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.permit import PermitOffice
from tests.stubs.small_server import Said, SmallServer, said

refused = pytest.mark.integration("platform", "refused")
slow = pytest.mark.integration("platform", "slow")
lying = pytest.mark.integration("platform", "lying")
misconfigured = pytest.mark.integration("platform", "misconfigured")


def client(url: str, **settings: Any) -> HttpPlatform:
    return HttpPlatform(url=url, permits=PermitOffice(FrozenClock()), clock=SystemClock(), attempts=1, **settings)


@refused
@pytest.mark.parametrize("status", [401, 403])
def test_a_platform_that_lets_nobody_in_says_who_has_to_open(status: int) -> None:
    with SmallServer(lambda _: Said(status, b"sign in")) as server:
        with pytest.raises(DependencyUnavailable, match=rf"answered {status}.*Let this machine in"):
            client(server.url).check()
        with pytest.raises(DependencyUnavailable, match=rf"answered {status}"):
            client(server.url).documents()


@slow
def test_an_answer_that_drips_ends_at_the_deadline() -> None:
    clock = SystemClock()
    row = {"id": "a", "title": "t", "text": "x" * 200, "subject": "s", "arrived_at": 1.0, "seq": 1}
    with SmallServer(lambda _: Said(200, json.dumps(row).encode(), drip=0.5)) as server:
        platform = client(server.url, deadline=timedelta(seconds=0.2))
        before = clock.monotonic()
        for ask in (platform.live, platform.documents):
            with pytest.raises(DependencyTimeout, match=r"did not end within 0\.2 s.*platform's load"):
                ask()
        assert clock.monotonic() - before < 60  # one of them alone would take longer


@slow
def test_a_late_answer_names_the_path_and_where_to_look() -> None:
    with (
        SmallServer(lambda _: said({}), delay=30) as server,
        pytest.raises(DependencyTimeout, match=r"/healthz did not answer in time.*load"),
    ):
        client(server.url, timeout=timedelta(seconds=0.1)).check()


@lying
def test_an_error_that_is_no_text_is_told_all_the_same() -> None:
    with (
        SmallServer(lambda _: Said(500, b"\xff\xfe broken")) as server,
        pytest.raises(DependencyUnavailable, match=r"500: .* broken"),
    ):
        client(server.url).logs()


@lying
def test_a_line_nested_without_end_is_a_lie() -> None:
    with (
        SmallServer(lambda _: Said(200, b"[" * 100_000 + b"\n")) as server,
        pytest.raises(DependencyLied, match="/data/logs, line 1"),
    ):
        client(server.url).logs()


@misconfigured
@pytest.mark.parametrize("answer", [Said(200, b"<html>Welcome</html>", "text/html"), said({"version": "11.2.0"})])
def test_another_product_at_the_address_is_told(answer: Said) -> None:
    with SmallServer(lambda _: answer) as server, pytest.raises(DependencyLied, match=r"/version.*Check platform\.url"):
        client(server.url).check()


@misconfigured
@pytest.mark.parametrize("status", [301, 404])
def test_a_path_that_is_not_there_points_at_the_address(status: int) -> None:
    with (
        SmallServer(lambda _: Said(status)) as server,
        pytest.raises(DependencyUnavailable, match=r"Check platform\.url"),
    ):
        client(server.url).check()


@misconfigured
@pytest.mark.parametrize("url", ["", "search.example:8080", "ftp://search.example", "http://", "http://search:port"])
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"platform\.url: .*Write e\.g\. https://"):
        client(url)


@misconfigured
def test_an_address_that_is_none_does_not_give_a_password_away() -> None:
    with pytest.raises(ConfigurationError) as told:
        client("ftp://reader:s3cret@search.example")
    assert "s3cret" not in str(told.value)
