"""Whatever goes wrong is answered as a problem that names the field and the remedy, and tells nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import anyio
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.types import Message

from adapters.inbox.base import InboxFull
from domain.access import TooManyAttempts, Unauthenticated
from domain.clock import FrozenClock
from domain.errors import (
    AuditUnavailable,
    BudgetExhausted,
    ChainBroken,
    ConfigurationError,
    ConflictError,
    DependencyTimeout,
    DependencyUnavailable,
    EvercrewError,
    IllegalTransition,
    InvalidInput,
    ModelAnswerInvalid,
    OutcomeUnknown,
    PolicySetBroken,
)
from service.api import problems
from service.api.edge import Edge
from tests.api.conftest import made, problem

SECRET = "a secret of the defect"
ERRORS: list[tuple[EvercrewError, int, str]] = [
    (InvalidInput("threshold", "is too much", "Give less"), 422, "invalid"),
    (ConfigurationError("access", "has no issuer", "Name one"), 503, "service-unavailable"),
    (ConflictError("somebody was faster"), 409, "conflict"),
    (IllegalTransition("done -> train is not a step"), 409, "conflict"),
    (BudgetExhausted("nothing is left"), 409, "budget-exhausted"),
    (ChainBroken("record 7 was changed"), 409, "record-broken"),
    (OutcomeUnknown("nobody saw it"), 502, "outcome-unknown"),
    (AuditUnavailable("the disk is full"), 503, "service-unavailable"),
    (PolicySetBroken("no schema"), 503, "service-unavailable"),
    (DependencyUnavailable("store", "is away"), 503, "service-unavailable"),
    (DependencyTimeout("git", "is slow", "Wait"), 503, "service-unavailable"),
    (InboxFull(9, 9, timedelta(seconds=42)), 503, "service-unavailable"),
    (Unauthenticated("no token was shown"), 401, "unauthorized"),
    (TooManyAttempts(timedelta(seconds=30)), 429, "too-many-requests"),
    (ModelAnswerInvalid("it is no JSON"), 409, "not-done"),
]


@pytest.fixture(scope="module")
def small() -> Iterator[TestClient]:
    app = FastAPI()
    problems.install(app)

    @app.get("/error/{number}")
    def error(request: Request, number: int) -> None:
        request.state.caller = "somebody who is known"
        raise ERRORS[number][0]

    @app.get("/strange/{number}")
    def strange(number: int) -> None:
        raise ERRORS[number][0]

    @app.get("/defect")
    def defect() -> None:
        raise KeyError(SECRET)

    @app.post("/body")
    def body(wanted: dict[str, int]) -> dict[str, int]:
        return wanted

    app.add_middleware(Edge, clock=FrozenClock(), most_body=1000, https=True)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("number", range(len(ERRORS)), ids=lambda n: type(ERRORS[n][0]).__name__)
def test_every_error_of_ours_has_a_status_by_who_has_to_react(small: TestClient, number: int) -> None:
    error, status, kind = ERRORS[number]
    told = problem(small.get(f"/error/{number}"), status)
    assert told["type"] == f"urn:evercrew:problem:{kind}"
    assert told["detail"]
    if isinstance(error, InvalidInput):
        assert (told.get("field") or "access", told["remedy"]) == (error.field, error.remedy)


@pytest.mark.parametrize("number", range(len(ERRORS)), ids=lambda n: type(ERRORS[n][0]).__name__)
def test_a_stranger_is_told_what_to_mend_and_nothing_of_what_failed_inside(small: TestClient, number: int) -> None:
    error, status, kind = ERRORS[number]
    told = problem(small.get(f"/strange/{number}"), status)
    assert told["type"] == f"urn:evercrew:problem:{kind}"
    assert (told["detail"] == "what has failed stands in the log of the service") is (status >= 500)
    if status >= 500:
        assert str(error) not in json.dumps(told)


def test_what_fails_for_now_says_when_to_come_again(small: TestClient) -> None:
    later = [(type(error).__name__, n) for n, (error, status, _) in enumerate(ERRORS) if status in (429, 503)]
    waits = {name: small.get(f"/error/{n}").headers.get("retry-after") for name, n in later}
    assert waits.pop("InboxFull") == "42"
    assert waits.pop("TooManyAttempts") == "30"
    assert set(waits.values()) == {"5"}


def test_a_defect_is_told_by_the_number_of_an_incident_and_the_log_has_the_rest(
    small: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = small.get("/defect", headers={"X-Request-Id": "mine-1"})
    told = problem(answer, 500)
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    [logged] = [record for record in caplog.records if record.exc_info]
    number = logged.getMessage().split()[1].rstrip(":")
    assert number.startswith("in_")
    assert number in told["detail"]
    assert answer.headers["x-request-id"] == "mine-1"


def test_an_answer_of_a_server_with_tls_asks_for_tls(small: TestClient) -> None:
    assert small.get("/nothing").headers["strict-transport-security"].startswith("max-age=")


@pytest.mark.parametrize("size", [1001, 50_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_however_its_length_is_told(
    small: TestClient, size: int, chunked: bool
) -> None:
    content = b'{"a": ' + b" " * size + b"1}"
    sent = (content[n : n + 500] for n in range(0, len(content), 500)) if chunked else content
    told = problem(small.post("/body", content=sent, headers={"Content-Type": "application/json"}), 413)
    assert "1000 bytes" in told["detail"]


def sent(parts: list[tuple[float, bytes]], *, path: str = "/body", body_time: float = 0.2) -> tuple[int, bytes]:
    """Send a body part by part, each after so many seconds, and return the status and content of the answer."""
    app, answer, waiting = FastAPI(), list[Message](), list(parts)
    problems.install(app)

    @app.post("/body")
    def body(wanted: dict[str, int]) -> dict[str, int]:
        return wanted

    async def receive() -> Message:
        wait, content = waiting.pop(0)
        await anyio.sleep(wait)
        return {"type": "http.request", "body": content, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        answer.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    edge = Edge(app, FrozenClock(), body_time=timedelta(seconds=body_time))
    anyio.run(edge, scope, receive, send)
    return answer[0]["status"], b"".join(message.get("body", b"") for message in answer)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    status, content = sent([(0, b'{"a"'), (30, b": 1}")])
    assert status == 408
    assert json.loads(content)["type"] == "urn:evercrew:problem:request-timeout"
    assert "0.2 s" in json.loads(content)["detail"]


def test_a_body_that_comes_bit_by_bit_has_so_long_as_a_whole() -> None:
    assert sent([(0.05, b" ")] * 30 + [(0, b'{"a": 1}')])[0] == 408
    assert sent([(0.01, b" "), (0.01, b'{"a": 1}')], body_time=20) == (200, b'{"a":1}')


def test_a_path_begins_no_line_of_its_own_in_the_log(small: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="service.api.edge"):
        small.get("/nothing%0A12:00:00%20INFO%20POST%20/api/v1/optimizer/start%20200%1B[2J")
    [line] = [record.getMessage() for record in caplog.records if record.name == "service.api.edge"]
    assert line == "GET /nothing%0A12:00:00%20INFO%20POST%20/api/v1/optimizer/start%20200%1B%5B2J 404"


GARBLED = [
    b"{",
    b"\xff\xfe\x00",
    b'{"a": "\\ud800"}',
    b"[" * 900,
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b"null",
    b"",
    b'{"a": {"b": []}}',
]


@pytest.mark.parametrize("content", GARBLED, ids=repr)
def test_a_garbled_body_is_the_clients_mistake_and_nothing_else(small: TestClient, content: bytes) -> None:
    answer = small.post("/body", content=content, headers={"Content-Type": "application/json"})
    told = problem(answer, answer.status_code)
    assert answer.status_code in (400, 422)
    json.dumps(told).encode()


def test_a_body_of_another_kind_is_refused(small: TestClient) -> None:
    assert problem(small.post("/body", content=b'{"a": 1}', headers={"Content-Type": "text/plain"}), 422)["field"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("POST", "/api/v1/cycles/", 404),
        ("DELETE", "/api/v1/cycles", 405),
        ("PATCH", "/healthz", 405),
    ],
)
def test_what_there_is_not_is_a_problem_too(read_only: FastAPI, method: str, path: str, status: int) -> None:
    answer = made(read_only, "admin").request(method, path)
    problem(answer, status)
    if status == 405:
        assert answer.headers["allow"]


def test_all_wrong_fields_are_named_and_no_value_is_repeated(viewer: TestClient) -> None:
    told = problem(viewer.get("/api/v1/cycles", params={"limit": "many", "stage": "<script>"}), 422)
    assert {each["field"] for each in told["errors"]} == {"limit", "stage"}
    assert told["field"] in ("limit", "stage")
    assert "<script>" not in json.dumps(told)


def test_nobody_is_told_what_is_wrong_with_a_request_before_it_is_known_who_asks(read_only: FastAPI) -> None:
    stranger = made(read_only, None)
    for content in (b"{", b"{}", b"\xff"):
        answer = stranger.post("/api/v1/cycles", content=content, headers={"Content-Type": "application/json"})
        problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    problem(stranger.get("/api/v1/cycles?limit=many"), 401)


def test_every_answer_has_a_number_and_the_headers_that_keep_a_browser_from_guessing(viewer: TestClient) -> None:
    for path in ("/healthz", "/api/v1/cycles", "/nothing"):
        headers = viewer.get(path, headers={"X-Request-Id": "a b\n"}).headers
        assert headers["x-request-id"].startswith("rq_")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "strict-transport-security" not in headers
