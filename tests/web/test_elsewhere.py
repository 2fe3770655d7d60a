"""Links out of the console: made of what is configured, to the trace and the model of a cycle, and to nothing else."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from domain.cycle import Cycle
from domain.errors import ConfigurationError
from domain.outcome import OutcomeKind
from service.api.serving import Serving
from service.settings import Settings, load
from service.web.elsewhere import Elsewhere, elsewhere_of, server_of
from service.web.pages import POLICY
from tests.support.serving import client_as
from tests.web.made import NASTY, Page

PROJECT = "https://smith.langchain.com/o/0a1b/projects/p/5f3759df-1234-4abc-8def-0123456789ab"
EXPERIMENT = "http://mlflow.example:5000/base/#/experiments/7"
TRACE = "0197" + "a" * 28


def _with(
    served: Serving, *, page: str = "", tracking: str = "sqlite:///models.db", traces: str = "langsmith,mlflow"
) -> Serving:
    app = served.app
    tracked = app.config.tracking.model_copy(update={"uri": tracking})
    config = app.config.model_copy(update={"tracking": tracked})
    return replace(served, app=replace(app, config=config, settings=Settings(traces_page=page, traces=traces)))


def _improved(served: Serving) -> Cycle:
    return next(c for c in served.app.ports.store.cycles() if c.outcome is OutcomeKind.IMPROVED)


def test_where_nothing_is_configured_there_is_no_link(served: Serving) -> None:
    assert elsewhere_of(_with(served).app, _improved(served), TRACE) == Elsewhere()
    page = Page(client_as(served, "viewer").get(f"/cycles/{_improved(served).id}").text)
    assert not [a for a in page.named("a") if a.get("target")]


def test_a_trace_is_linked_where_the_project_of_langsmith_is_named(served: Serving) -> None:
    for given in (PROJECT, f"{PROJECT}/", f"{PROJECT}?timeModel=%7B%7D"):
        found = elsewhere_of(_with(served, page=given).app, _improved(served), TRACE)
        assert found.trace is not None
        assert found.trace.href == f"{PROJECT}/r/{UUID(hex=TRACE)}"
        assert found.trace.label == "Trace in LangSmith"
        assert found.model == ()


@pytest.mark.parametrize(("page", "traces"), [(PROJECT, "mlflow"), (EXPERIMENT, "langsmith"), (PROJECT, "none")])
def test_where_no_trace_is_sent_to_there_is_no_link_to_one(served: Serving, page: str, traces: str) -> None:
    assert elsewhere_of(_with(served, page=page, traces=traces).app, _improved(served), TRACE).trace is None


def test_an_experiment_of_mlflow_leads_to_the_trace_and_its_server_to_the_model(served: Serving) -> None:
    cycle = _improved(served)
    found = elsewhere_of(_with(served, page=f"{EXPERIMENT}/traces?x=1").app, cycle, TRACE)
    assert found.trace is not None
    assert found.trace.href == f"{EXPERIMENT}/traces?selectedEvaluationId=tr-{TRACE}"
    model = cycle.facts["candidate"]["model"]
    assert found.model[0].href == (
        f"http://mlflow.example:5000/base/#/models/{model['name']}/versions/{model['version']}"
    )


def test_a_cycle_without_a_trace_or_a_model_has_no_link_to_one(served: Serving) -> None:
    cycle = _improved(served)
    bare = cycle.model_copy(update={"facts": {}})
    found = elsewhere_of(_with(served, page=EXPERIMENT, tracking="http://mlflow.example").app, bare, "")
    assert found == Elsewhere()


def test_the_model_is_linked_on_the_tracking_server_without_its_credentials(served: Serving) -> None:
    model = {"name": "re ranker/../x?", "version": "3", "run_id": "r1#/../y"}
    cycle = _improved(served).model_copy(update={"facts": {"candidate": {"model": model}}})
    found = elsewhere_of(_with(served, tracking="https://ann:secret@mlflow.example/ml/?x=1").app, cycle, TRACE)
    assert [link.href for link in found.model] == [
        "https://mlflow.example/ml/#/models/re%20ranker%2F..%2Fx%3F/versions/3",
        "https://mlflow.example/ml/#/runs/r1%23%2F..%2Fy",
    ]
    assert found.trace is None


@pytest.mark.parametrize(
    "uri", ["sqlite:///x.db", "file:///etc", "javascript:alert(1)//http://x", "databricks", "", "http://", "http://[x"]
)
def test_what_is_no_address_of_a_server_is_no_server(uri: str) -> None:
    assert server_of(uri) == ""


@pytest.mark.parametrize(
    "page",
    [
        "javascript:alert(1)/projects/p/5f3759df-1234-4abc-8def-0123456789ab",
        "https://ann:secret@smith.langchain.com/o/0a1b/projects/p/5f3759df-1234-4abc-8def-0123456789ab",
        "https://smith.langchain.com/o/0a1b/projects",
        "http://mlflow.example/#/experiments/",
        f"{PROJECT} x",
    ],
)
def test_a_page_of_traces_that_is_none_is_refused_when_settings_are_read(page: str) -> None:
    with pytest.raises(ConfigurationError, match="EVERCREW_TRACES_PAGE"):
        load({"EVERCREW_TRACES_PAGE": page})


def test_the_page_of_a_cycle_shows_its_links_escaped_within_the_same_policy(served: Serving) -> None:
    cycle = _improved(served)
    linked = _with(served, page=PROJECT, tracking='https://mlflow.example/"onmouseover="alert(1)')
    answer = client_as(linked, "viewer").get(f"/cycles/{cycle.id}")
    assert answer.headers["content-security-policy"] == POLICY
    out = [a for a in Page(answer.text).named("a") if a["href"].startswith("http")]
    assert {a["href"].partition("/r/")[0] for a in out if "smith" in a["href"]} == {PROJECT}
    assert any(a["href"].startswith('https://mlflow.example/"onmouseover="alert(1)/#/models/') for a in out)
    assert {(a["rel"], a["target"]) for a in out} == {("noopener noreferrer", "_blank")}
    assert {key for a in out for key in a} == {"href", "target", "rel"}


def test_names_that_are_markup_come_out_as_text_and_stay_within_the_address(served: Serving) -> None:
    cycle = next(c for c in served.app.ports.store.cycles() if c.target == "evil")
    model = {"name": NASTY, "version": NASTY, "run_id": NASTY}
    hostile = cycle.model_copy(update={"facts": {**cycle.facts, "candidate": {"model": model}}})
    links = elsewhere_of(_with(served, tracking="https://mlflow.example").app, hostile, TRACE).model
    assert all(link.href.startswith("https://mlflow.example/#/") for link in links)
    assert not any(mark in link.href for link in links for mark in "<>\"' {}")
