"""The OpenAPI is kept: what it describes is what is answered, for requests nobody thought of as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.api.app import SCHEMA, create_app
from service.chat.making import chat_desk_of
from service.settings import Settings
from tests.support.serving import serving_of, token_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SENDER = "the token of whoever sends alerts"
# Streams that do not end by themselves, and what would end the very token the requests are made with.
WITHOUT = r"/events$|/auth/revoke$|/auth/password$|/auth/users/\{name\}"
EXAMPLES = 5
IMPROVED = "si_2026_01_01_004"
KNOWN: dict[str, dict[str, Any]] = {
    "/api/v1/cycles/{cycle_id}": {"cycle_id": IMPROVED},
    "/api/v1/cycles/{cycle_id}/events": {"cycle_id": IMPROVED},
    "/api/v1/cycles/{cycle_id}/verify": {"cycle_id": IMPROVED},
    "/api/v1/cycles/{cycle_id}/report": {"cycle_id": IMPROVED},
    "/api/v1/cycles/{cycle_id}/artifacts": {"cycle_id": IMPROVED},
    "/api/v1/cycles/{cycle_id}/artifacts/{name}": {"cycle_id": IMPROVED, "name": "outcome.json"},
    "/api/v1/flags/{name}": {"name": "auto_promote"},
    "/api/v1/optimizer/quality-gates/{name}": {"name": "ndcg_at_10"},
    "/api/v1/audit/records/{sequence}": {"sequence": 7},
    "/api/v1/targets/{name}": {"name": "search"},
    "/api/v1/targets/{name}/health": {"name": "search"},
}
ELSEWHERE = ("/api/v1/events",)
ASKED = {
    "/api/v1/policies/explain": {"role": "devops_engineer", "tool": "promote"},
    "/api/v1/optimizer/rollback/preview": {"to_version": "gold"},
}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    settings = Settings(webhook_token=SENDER)
    served = serving_of(tmp_path_factory.mktemp("described"), settings=settings)
    desk = chat_desk_of(served.app, served.access, orchestrator=None, runs_cycles=False)
    return create_app(replace(served, chat=desk))


@pytest.fixture(scope="module")
def bearer(application: FastAPI) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(application.state.serving, 'admin')}"}


@pytest.fixture(scope="module")
def described(application: FastAPI, bearer: dict[str, str]) -> Any:
    return schemathesis.openapi.from_asgi(SCHEMA, application, headers=dict(bearer))


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_is_answered_otherwise_than_described(
    described: Any, bearer: dict[str, str], mode: GenerationMode
) -> None:
    asked, faults = 0, []
    for result in described.exclude(path_regex=WITHOUT).get_all_operations():
        operation = result.ok()
        try:
            asked += _fuzzed(operation, bearer, mode)
        except FailureGroup as found:
            faults.append(f"{operation.label}: {found.exceptions!r}"[:1500])
        except Unsatisfiable:
            continue  # an operation without parameters has no request that would break its description
    assert not faults, "\n\n".join(faults)
    assert asked > 100


def _fuzzed(operation: Any, bearer: dict[str, str], mode: GenerationMode) -> int:
    """Ask an operation what its description allows, or does not, and return how often it was asked."""
    asked = []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True)
    def ask(case: Any) -> None:
        sent = {**bearer, "Authorization": f"Bearer {SENDER}"} if operation.path.startswith("/webhooks") else bearer
        asked.append(case.call_and_validate(headers=dict(sent), checks=CHECKS))

    ask()
    return len(asked)


def test_every_read_of_what_there_is_is_answered_as_described(described: Any, bearer: dict[str, str]) -> None:
    read = []
    for result in described.get_all_operations():
        operation = result.ok()
        path = operation.path
        fixed = "{" not in path and not path.startswith(("/webhooks", "/metrics"))
        if operation.method.upper() != "GET" or not (path in KNOWN or fixed) or path in ELSEWHERE:
            continue
        case = operation.Case(path_parameters=KNOWN.get(path, {}), query=ASKED.get(path, {}))
        answer = case.call(headers=dict(bearer))
        assert answer.status_code == 200, (path, answer.text)
        case.validate_response(answer, checks=CHECKS)
        read.append(path)
    assert set(KNOWN) | set(ASKED) <= set(read)
    assert len(read) > 30


def test_every_route_says_what_errors_it_has_and_every_write_takes_a_key(application: FastAPI) -> None:
    document = application.openapi()
    ours = {p: ms for p, ms in document["paths"].items() if not p.startswith(("/api/v1/auth", "/api/v1/chat", "/w"))}
    names = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(set(names)) == len(names)
    for path, methods in ours.items():
        for method, operation in methods.items():
            headers = {each["name"] for each in operation.get("parameters", []) if each["in"] == "header"}
            assert method in ("get", "post", "put"), path
            assert (method == "get") or "Idempotency-Key" in headers, path
            assert {"401", "403", "404", "422", "500"} <= set(operation["responses"]), path
            assert operation["summary"], path
    problem = document["components"]["schemas"]["ProblemBody"]
    assert {"type", "title", "status", "detail", "field", "remedy"} <= set(problem["properties"])
