"""What goes over the wire is what Argo CD's specification foresees, and the check of it can fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from adapters.delivery.base import EFFECT_SYNC, Superseded
from testbed.argocd import ArgoCd, Exchange, Fault
from tests.contract.permits import permit_for
from tests.integrations.argocd.bench import ADMIN, NOBODY, PASSWORD, Bench, endpoint
from tests.integrations.argocd.openapi import Recorder, Specification
from tests.integrations.argocd.test_works import wait

pytestmark = pytest.mark.integration("argocd", "works")


def _walk(it: Bench) -> None:
    """Go through everything that is asked of Argo CD."""
    argo = it.argo(automated=False)
    session = it.delivery(argo, endpoint=endpoint(argo.url, None, username="evercrew", password=PASSWORD))
    assert session.check()
    assert it.delivery(argo, project="default", app_namespace="argocd").resources()
    argo.fault(Fault.HOOK_WAITING)
    it.becomes(it.new)
    session.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    session.application()
    argo.fault(Fault.HOOK_WAITING, on=False)
    assert wait(session, it.new) == it.new
    it.becomes(it.other)
    with pytest.raises(Superseded):
        wait(session, it.new)
    session.metadata(it.other.revision)
    argo.fault(Fault.COMPARISON_ERROR)
    session.application(refresh=True)


def test_no_exchange_breaks_the_specification(it: Bench, specification: Specification) -> None:
    _walk(it)
    assert len(it.recorder.exchanges) >= 15
    assert [problem for e in it.recorder.exchanges for problem in specification.violations(e)] == []
    asked = {(e.method, e.path.rpartition("/")[2]) for e in it.recorder.exchanges}
    assert {("POST", "session"), ("POST", "sync"), ("GET", "resource-tree"), ("GET", "metadata")} <= asked


def test_errors_and_the_other_paths_keep_to_it_too(it: Bench, argo: ArgoCd, specification: Specification) -> None:
    one = "/api/v1/applications/search-staging"
    for method, path, token, body, status in (
        ("GET", "/api/v1/applications", ADMIN, None, 200),
        ("GET", "/api/v1/applications", NOBODY, None, 200),
        ("GET", one, NOBODY, None, 403),
        ("GET", one, "unknown", None, 401),
        ("GET", "/api/v1/applications/missing?project=default", ADMIN, None, 404),
        ("GET", f"{one}/revisions/{'e' * 40}/metadata", ADMIN, None, 400),
        ("POST", f"{one}/sync", ADMIN, {"revision": it.new.revision}, 400),
        ("POST", f"{one}/rollback", ADMIN, {"id": 0}, 400),
        ("DELETE", f"{one}/operation", ADMIN, None, 400),
    ):
        answer = httpx.request(method, argo.url + path, headers={"Authorization": f"Bearer {token}"}, json=body)
        assert answer.status_code == status, path
    assert len(it.recorder.exchanges) == 9
    assert it.recorder.violations == []


def test_the_application_is_one_by_the_schema_of_the_resource(
    it: Bench, argo: ArgoCd, specification: Specification
) -> None:
    argo.fault(Fault.HOOK_FAILED)
    it.becomes(it.new)
    it.delivery(argo).application(refresh=True)
    shown: Any = json.loads(it.recorder.exchanges[-1].answered)
    assert shown["status"]["operationState"]["syncResult"]["resources"][0]["hookPhase"] == "Failed"
    assert specification.problems(shown, "v1alpha1Application") == []


DAMAGE: list[tuple[Callable[[Exchange], Exchange], str]] = [
    (lambda e: replace(e, path="/api/v1/applicationz/x"), "no such operation"),
    (lambda e: replace(e, method="OPTIONS"), "no such operation"),
    (lambda e: replace(e, query=(("refesh", "normal"),)), "'refesh' is not known"),
    (lambda e: replace(e, sent=b"{}"), "none is foreseen"),
    (lambda e: replace(e, status=202), "status 202 is not foreseen"),
    (lambda e: replace(e, answered=e.answered[:-9]), "is no JSON"),
    (lambda e: _edited(e, lambda app: app["status"]["sync"].update(status=3)), "status.sync.status: 3 is not"),
    (lambda e: _edited(e, lambda app: app["status"].update(helth={})), "'helth' was unexpected"),
    (lambda e: _edited(e, lambda app: app["metadata"].update(creationTimestamp="today")), "not a 'date-time'"),
    (lambda e: replace(e, status=404), "unexpected"),
]


def test_the_check_itself_finds_what_is_wrong(it: Bench, argo: ArgoCd, specification: Specification) -> None:
    it.delivery(argo).application()
    good = it.recorder.exchanges[-1]
    assert specification.violations(good) == []
    for damage, problem in DAMAGE:
        recorder = Recorder(specification)
        recorder(damage(good))
        assert any(problem in violation for violation in recorder.violations), (problem, recorder.violations)


def test_a_wrong_request_is_found(it: Bench, argo: ArgoCd, specification: Specification) -> None:
    path = "/api/v1/applications/search-staging/sync"
    good = Exchange("POST", path, (), b'{"revision": "main"}', 200, b"{}")
    assert specification.violations(good) == []
    for sent, problem in ((b"", "missing"), (b'{"revision": 1}', "1 is not of type"), (b'{"rev": "x"}', "unexpected")):
        [violation] = specification.violations(replace(good, sent=sent))
        assert problem in violation


def _edited(exchange: Exchange, edit: Any) -> Exchange:
    body = json.loads(exchange.answered)
    edit(body)
    return replace(exchange, answered=json.dumps(body).encode())
