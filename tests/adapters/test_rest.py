"""The HTTP client of the REST adapters: what it sends, what it tries again, and what it says when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import SecretStr, ValidationError

from adapters.meter import exposition
from adapters.rest import Endpoint, NotFound, Refused, RestClient
from domain.clock import SystemClock
from domain.errors import (
    ConflictError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)
from tests.stubs.small_server import Asked, Said, SmallServer

SECRET = "s3cret-of-the-test"


def _client(url: str, **fields: object) -> RestClient:
    endpoint = Endpoint.model_validate({"url": url, "timeout": timedelta(seconds=10), **fields})
    return RestClient(
        endpoint, name="example", field="example", clock=SystemClock(), pause=timedelta(milliseconds=1), most_bytes=1000
    )


def _sequence(*answers: Said) -> Callable[[Asked], Said]:
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def test_a_read_returns_the_json() -> None:
    with SmallServer(lambda request: Said(body=b'{"a": [1]}')) as stub:
        assert _client(stub.url).get("/x", {"q": "1 2"}) == {"a": [1]}
        assert stub.seen[0].query == {"q": "1 2"}


def test_an_answer_without_a_body_is_none() -> None:
    with SmallServer(lambda request: Said(status=204)) as stub:
        assert _client(stub.url).request("DELETE", "/x") is None


def test_a_read_is_tried_again_and_a_change_is_not() -> None:
    with SmallServer(_sequence(Said(status=503), Said(status=502), Said(body=b"1"))) as stub:
        assert _client(stub.url).get("/x") == 1
        assert len(stub.seen) == 3
    with SmallServer(_sequence(Said(status=503), Said(body=b"1"))) as stub:
        with pytest.raises(DependencyUnavailable, match="503"):
            _client(stub.url).request("POST", "/x", json={})
        assert len(stub.seen) == 1


def test_a_change_that_may_be_repeated_is_tried_again() -> None:
    with SmallServer(_sequence(Said(status=503), Said(body=b"1"))) as stub:
        assert _client(stub.url).request("POST", "/x", json={"b": 2}, repeatable=True) == 1
        assert json.loads(stub.seen[1].body) == {"b": 2}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidInput),
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (409, ConflictError),
        (422, InvalidInput),
        (500, DependencyUnavailable),
    ],
)
def test_each_refusal_has_its_error_with_the_services_own_words(status: int, error: type[Exception]) -> None:
    with SmallServer(lambda request: Said(status=status, body=b"because of that")) as stub:
        with pytest.raises(error, match="because of that"):
            _client(stub.url).get("/x")
        assert len(stub.seen) == 1


def test_what_is_not_json_is_a_lie() -> None:
    with (
        SmallServer(lambda request: Said(body=b"<html>login</html>")) as stub,
        pytest.raises(DependencyLied, match=r"example\.url"),
    ):
        _client(stub.url).get("/x")


def test_an_endless_answer_is_cut_off() -> None:
    with (
        SmallServer(lambda request: Said(body=b'"' + b"x" * 5000 + b'"')) as stub,
        pytest.raises(DependencyLied, match="longer"),
    ):
        _client(stub.url).get("/x")


def test_an_answer_that_ends_too_early_is_no_answer() -> None:
    with (
        SmallServer(lambda request: Said(body=b'{"a"', promised=100)) as stub,
        pytest.raises((DependencyUnavailable, DependencyTimeout)),
    ):
        _client(stub.url, timeout=timedelta(seconds=0.5)).get("/x")


def test_nobody_at_the_address_names_the_field() -> None:
    with pytest.raises(DependencyUnavailable, match=r"example\.url"):
        _client("http://127.0.0.1:9").get("/x")


def test_credentials_are_sent_and_never_told() -> None:
    with SmallServer(lambda request: Said(status=403, body=b"no")) as stub:
        client = _client(stub.url, token=SecretStr(SECRET))
        with pytest.raises(Refused) as refused:
            client.get("/x")
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(Endpoint(url=stub.url, token=SecretStr(SECRET)))


def test_an_address_with_credentials_in_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="url"):
        Endpoint(url="http://user:password@localhost:1")


def test_requests_are_counted_by_how_they_ended() -> None:
    with SmallServer(lambda request: Said(status=503)) as stub, pytest.raises(DependencyUnavailable):
        _client(stub.url).get("/x")
    page = exposition()
    assert 'evercrew_adapter_requests_total{adapter="example",outcome="refused"}' in page
    assert 'evercrew_adapter_seconds_count{adapter="example"}' in page
