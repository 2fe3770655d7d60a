"""Prometheus: what is made of answers that are refusals, late, wrong, half, or another product's."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.meter import exposition
from adapters.rest import Endpoint, Refused
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from testbed.servers.base import free_port
from tests.contract.metrics_contract import SECOND
from tests.integrations.prometheus.asking import (
    NOW,
    ONE,
    always,
    lying,
    misconfigured,
    opened,
    refused,
    row,
    slow,
    stubbed,
    success,
    works,
)
from tests.stubs.small_server import Asked, Said, SmallServer
from tests.support.waiting import until


@works
def test_requests_are_counted_by_how_they_end() -> None:
    with SmallServer(lambda _: success([row()])) as stub:
        assert stubbed(stub).read(ONE).value == 3
    assert 'evercrew_adapter_requests_total{adapter="prometheus",outcome="ok"}' in exposition()


@works
def test_a_bearer_token_is_sent_and_stands_in_no_error() -> None:
    told: list[str] = []

    def answer(request: Asked) -> Said:
        told.append(request.headers.get("authorization", ""))
        return Said(403, b"no")

    with SmallServer(answer) as stub, pytest.raises(Refused) as error:
        stubbed(stub, token=SecretStr("t0ken")).read(ONE)
    assert told == ["Bearer t0ken"]
    assert "t0ken" not in str(error.value)


@misconfigured
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Said(200, b"<html><form>Sign in</form></html>", "text/html"), DependencyLied),
        (Said(200, b'{"hello": "world"}'), DependencyLied),
        (Said(404, b"page not found"), DependencyUnavailable),
        (Said(400, b"<html>Bad request</html>"), DependencyLied),
    ],
    ids=["login page", "other JSON", "not found", "bad request"],
)
def test_another_product_at_the_address_is_recognised(answer: Said, error: type[DependencyError]) -> None:
    with SmallServer(lambda _: answer) as stub:
        for ask in (stubbed(stub).check, lambda: stubbed(stub).read(ONE)):
            with pytest.raises(error) as raised:
                ask()
            assert "Another product" in raised.value.remedy


@misconfigured
def test_a_server_that_scrapes_nothing_is_named() -> None:
    answers = iter([success([]), success([row("0")])])
    with SmallServer(lambda _: next(answers)) as stub:
        for _ in range(2):
            with pytest.raises(DependencyUnavailable, match="no target"):
                stubbed(stub).check()


@refused
def test_nobody_listening_says_so() -> None:
    metrics = opened(Endpoint(url=f"http://127.0.0.1:{free_port()}", attempts=2))
    for ask in (metrics.check, lambda: metrics.read(ONE), lambda: metrics.labels("up", "job")):
        with pytest.raises(DependencyUnavailable, match=r"Check that it runs"):
            ask()


@refused
@pytest.mark.parametrize(("status", "said"), [(401, "EVERCREW_METRICS_TOKEN"), (403, "right to query")])
def test_a_refusal_is_not_asked_again(status: int, said: str) -> None:
    with SmallServer(lambda _: Said(status, b"no")) as stub:
        with pytest.raises(Refused) as error:
            stubbed(stub, attempts=3).read(ONE)
        assert len(stub.seen) == 1
    assert said in error.value.remedy


@refused
def test_a_query_it_does_not_understand_is_ours_to_mend() -> None:
    body = b'{"status": "error", "errorType": "bad_data", "error": "parse error at char 3"}'
    with SmallServer(lambda _: Said(400, body)) as stub, pytest.raises(InvalidInput, match="parse error"):
        stubbed(stub).read(ONE)


@slow
def test_a_late_answer_is_a_timeout_and_is_not_asked_for_again() -> None:
    def answer(_request: Asked) -> Said:
        stub.stopping.wait(30)
        return success([row()])

    with SmallServer(answer) as stub:
        with pytest.raises(DependencyTimeout, match=r"metrics\.timeout_s"):
            stubbed(stub, timeout=timedelta(seconds=0.2), attempts=3).read(ONE)
        until(lambda: stub.seen)
        assert len(stub.seen) == 1


@slow
def test_the_server_is_told_how_long_we_wait() -> None:
    with SmallServer(lambda _: success([row()])) as stub:
        stubbed(stub, timeout=timedelta(seconds=2.5)).read(ONE)
        assert stub.seen[0].query["timeout"] == "2500ms"


@slow
@pytest.mark.parametrize("kind", ["timeout", "canceled"])
def test_a_query_that_the_server_gave_up_is_a_timeout(kind: str) -> None:
    body = json.dumps({"status": "error", "errorType": kind, "error": "query timed out in expression evaluation"})
    with SmallServer(lambda _: Said(503, body.encode())) as stub, pytest.raises(DependencyTimeout, match="window"):
        stubbed(stub).read(ONE)


@slow
def test_a_busy_server_is_asked_again() -> None:
    answers = iter([Said(503, b"busy"), Said(429, b"later"), success([row()])])
    with SmallServer(lambda _: next(answers)) as stub:
        assert stubbed(stub, attempts=3).read(ONE).value == 3


@lying
@pytest.mark.parametrize(
    "more",
    [{"warnings": ["store-gateway zone-b: no answer"]}, {"isPartial": True}, {"warnings": "broken"}],
    ids=["warnings", "partial", "warnings of another kind"],
)
def test_half_an_answer_is_no_number(more: dict[str, Any]) -> None:
    with SmallServer(lambda _: success([row()], **more)) as stub:
        for ask in (
            lambda: stubbed(stub).read(ONE),
            lambda: stubbed(stub).range(ONE, NOW, NOW + SECOND, SECOND),
            lambda: stubbed(stub).labels("up", "job"),
        ):
            with pytest.raises(DependencyLied, match="half an answer"):
                ask()


@lying
def test_advice_about_the_query_is_no_warning() -> None:
    with SmallServer(lambda _: success([row()], warnings=["PromQL info: metric might not be a counter"])) as stub:
        assert stubbed(stub).read(ONE).value == 3


@lying
def test_an_error_in_a_200_is_an_error() -> None:
    wrong = Said(200, b'{"status": "error", "data": {"result": []}}')
    with SmallServer(lambda _: wrong) as stub, pytest.raises(DependencyLied, match="error"):
        stubbed(stub).read(ONE)


@lying
def test_two_series_where_one_was_asked_for_are_no_number() -> None:
    with SmallServer(lambda _: success([row(), row()])) as stub, pytest.raises(DependencyLied, match="2 series"):
        stubbed(stub).read(ONE)


@lying
def test_an_answer_for_another_moment_is_missing() -> None:
    for apart in (-3600, 3600):
        wrong = success([row(at=NOW.timestamp() + apart)])
        with SmallServer(always(wrong)) as stub:
            assert stubbed(stub).read(ONE).value is None
            assert stubbed(stub).read(ONE, NOW).value is None
            with pytest.raises(DependencyLied, match="clock is 3600 s from ours"):
                stubbed(stub).check()


@lying
@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_no_number_is_missing(value: str) -> None:
    with SmallServer(lambda _: success([row(value)])) as stub:
        read = stubbed(stub).read(ONE)
    assert (read.value, read.n, read.usable) == (None, 0, False)


@lying
def test_contradicting_points_are_refused_and_foreign_ones_left_out() -> None:
    at = NOW.timestamp()
    for values, expected in (
        ([[at, "1"], [at, "2"]], None),
        ([[at, "1"], [at, "1"], [at + 0.5, "9"], [at + 7, "9"]], [1, None]),
    ):
        with SmallServer(always(success([{"metric": {}, "values": values}]))) as stub:
            if expected is None:
                with pytest.raises(DependencyLied, match="two values"):
                    stubbed(stub).range(ONE, NOW, NOW + SECOND, SECOND)
            else:
                assert [p.value for p in stubbed(stub).range(ONE, NOW, NOW + SECOND, SECOND)] == expected


@lying
def test_a_query_that_fails_inside_the_server_is_no_number() -> None:
    body = b'{"status": "error", "errorType": "execution", "error": "many-to-many matching not allowed"}'
    with SmallServer(lambda _: Said(422, body)) as stub, pytest.raises(DependencyLied, match="many-to-many"):
        stubbed(stub).read(ONE)
