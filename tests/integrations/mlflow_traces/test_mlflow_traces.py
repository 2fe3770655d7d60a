"""Traces in MLflow: on its database, and at a server that is down, late, or something else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.traces.base import TracesPort
from adapters.traces.langsmith import LangSmithTraces
from adapters.traces.mlflow import MlflowTraces
from adapters.tracking.base import EFFECT_LOG_RUN
from adapters.tracking.mlflow import MlflowTracking
from domain.clock import SystemClock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, EvercrewError
from domain.permit import PermitOffice
from domain.trace import Rating, SpanData, root_place, trace_id_of
from tests.contract.permits import permit_for
from tests.contract.traces_contract import Seen, TracesContract
from tests.stubs.small_server import Said, SmallServer, said
from tests.support.sinks import flushed

CLOCK = SystemClock()
DEAD = "http://127.0.0.1:9"
KINDS = {"CHAIN": "chain", "TOOL": "tool", "CHAT_MODEL": "llm", "GUARDRAIL": "decision"}
CYCLE, OPENED = "si_2026_01_31_001", datetime(2026, 1, 31, 10, tzinfo=UTC)


def trace(traces: LangSmithTraces | MlflowTraces, times: int = 1) -> float:
    """Open so many spans and return the seconds it took."""
    before = CLOCK.monotonic()
    for number in range(times):
        with traces.span("call", "tool", {"number": number}, cycle_id="c1") as span:
            span.done({"ok": True})
    return CLOCK.monotonic() - before


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


def database(template: Path, folder: Path) -> str:
    """Return the address of a database of a test's own."""
    shutil.copyfile(template, folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.mark.integration("mlflow traces", "works")
class TestMlflowTraces(TracesContract):
    @pytest.fixture
    def uri(self, template: Path, tmp_path: Path) -> str:
        return database(template, tmp_path)

    @pytest.fixture
    def traces(self, uri: str) -> TracesPort:
        return MlflowTraces(uri)

    @pytest.fixture
    def seen(self, traces: TracesPort, uri: str) -> Callable[[], dict[str, Seen]]:
        def read() -> dict[str, Seen]:
            from mlflow import MlflowClient

            client = MlflowClient(uri)
            experiment = client.get_experiment_by_name("evercrew")
            assert experiment is not None
            found: dict[str, Seen] = {}
            for trace in client.search_traces(locations=[experiment.experiment_id]):
                names = {span.span_id: span.name for span in trace.data.spans}
                for span in trace.data.spans:
                    found[span.name] = Seen(
                        name=span.name,
                        kind=KINDS[span.span_type],
                        parent=names.get(span.parent_id or "", ""),
                        inputs=span.inputs or {},
                        outputs=span.outputs or {},
                        error=str(span.get_attribute("error") or ""),
                    )
            return found

        return read


def stored(uri: str) -> Any:
    """Return the one trace that is there."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("evercrew")
    assert experiment is not None
    [found] = client.search_traces(locations=[experiment.experiment_id])
    return found


@pytest.mark.integration("mlflow traces", "works")
def test_processes_that_follow_one_another_write_one_trace_with_tokens_cost_and_outcome(
    template: Path, tmp_path: Path
) -> None:
    uri, root = database(template, tmp_path), root_place(CYCLE, OPENED)
    first = MlflowTraces(uri)
    usage = {"model": "m", "provider": "openai", "input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    stage = first.span("diagnosis", "chain", {}, cycle_id=CYCLE, under=root)
    with stage, first.span("diagnosis_propose", "llm", {}, cycle_id=CYCLE) as asked:
        asked.tell(usage={**usage, "cost_usd": 0.25})
    flushed(first)
    assert stored(uri).info.state == "IN_PROGRESS"
    second = MlflowTraces(uri)
    with second.span("deploy", "chain", {}, cycle_id=CYCLE, under=root):
        pass
    second.rate(Rating(root, "outcome_verified", OPENED, 1.0, "improved", "it is better"))
    ended = SpanData("self_improvement_cycle", "chain", CYCLE, root, outputs={"outcome": "improved"}, end=CLOCK.now())
    second.put(ended)
    second.rate(Rating(root, "outcome_verified", OPENED, 1.0, "improved", "it is better"))
    flushed(second)
    whole = stored(uri)
    assert whole.info.trace_id == f"tr-{trace_id_of(CYCLE, OPENED)}"
    assert whole.info.state == "OK"
    names = {span.span_id: span.name for span in whole.data.spans}
    assert {(span.name, names.get(span.parent_id)) for span in whole.data.spans} == {
        ("self_improvement_cycle", None),
        ("diagnosis", "self_improvement_cycle"),
        ("diagnosis_propose", "diagnosis"),
        ("deploy", "self_improvement_cycle"),
    }
    assert whole.info.token_usage["total_tokens"] == 7
    assert whole.info.cost["total_cost"] == 0.25
    assert [(a.name, a.value) for a in whole.info.assessments] == [("outcome_verified", 1.0)]
    assert (first.lost, second.lost) == (0, 0)


@pytest.mark.integration("mlflow traces", "works")
def test_models_go_where_they_are_to_also_when_the_traces_were_first(template: Path, tmp_path: Path) -> None:
    uri, office = database(template, tmp_path), PermitOffice(CLOCK)
    MlflowTraces(uri, artifacts=str(tmp_path / "files")).check()
    tracking = MlflowTracking(
        uri=uri,
        experiment="evercrew",
        permits=office,
        digest_of=lambda _: "sha256:0",
        artifacts=str(tmp_path / "elsewhere"),
    )
    report = tmp_path / "report.json"
    report.write_text("{}", encoding="utf-8")
    permit = permit_for(office, EFFECT_LOG_RUN, "k1")
    run_id = tracking.log_run(name="r", params={}, metrics={}, tags={}, artifacts=[report], key="k1", permit=permit)
    assert [path.name for path in (tmp_path / "files" / run_id).rglob("*.json")] == ["report.json"]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.integration("mlflow traces", "refused")
def test_a_tracking_server_that_is_down_neither_blocks_nor_raises(impatient: None) -> None:
    traces = MlflowTraces(DEAD)
    assert trace(traces, 5) < 10
    flushed(traces)
    assert traces.lost == 5
    with pytest.raises(DependencyUnavailable, match=r"no connection.*tracking\.uri"):
        checked(DEAD)


def checked(uri: str, seconds: float = 60) -> str:
    """Return what the check says; what it raises comes through."""
    return MlflowTraces(uri, patience_s=seconds).check()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service sets for MLflow's client, with the times of tests."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.integration("mlflow traces", "refused")
@pytest.mark.parametrize(("status", "remedy"), [(401, "EVERCREW_TRACKING_TOKEN"), (403, "Grant EDIT")])
def test_credentials_that_are_refused_name_what_to_set(impatient: None, status: int, remedy: str) -> None:
    with SmallServer(lambda _: Said(status, b"no")) as server, pytest.raises(DependencyUnavailable, match=remedy):
        checked(server.url)


@pytest.mark.integration("mlflow traces", "slow")
def test_a_server_that_hangs_holds_up_neither_the_span_nor_the_check(impatient: None) -> None:
    with SmallServer(lambda _: said({}), delay=30) as server:
        traces = MlflowTraces(server.url, patience_s=0.3)
        assert trace(traces, 5) < 10
        before = CLOCK.monotonic()
        traces.flush(0.2)
        assert CLOCK.monotonic() - before < 10
        with pytest.raises(DependencyTimeout, match=r"server of tracking\.uri"):
            traces.check()


@pytest.mark.integration("mlflow traces", "lying")
def test_an_answer_that_names_no_experiment_is_a_lie(impatient: None) -> None:
    with SmallServer(lambda _: said({})) as server, pytest.raises(DependencyLied, match="names no experiment"):
        checked(server.url)


@pytest.mark.integration("mlflow traces", "lying")
def test_a_server_that_comes_back_is_found_by_the_next_check(impatient: None) -> None:
    found = {"experiment": {"experiment_id": "7", "name": "evercrew", "lifecycle_stage": "active"}}
    with SmallServer(lambda _: said(found), lie=Said(200, b"<html>Starting</html>", "text/html")) as server:
        traces = MlflowTraces(server.url, patience_s=60)
        with pytest.raises(DependencyLied, match="no MLflow server"):
            traces.check()
        server.lie = None
        assert "experiment evercrew" in traces.check()


@pytest.mark.integration("mlflow traces", "misconfigured")
@pytest.mark.parametrize("answer", [Said(200, b"<html>Sign in</html>", "text/html"), Said(404, b"not here")])
def test_another_product_at_the_address_is_told(impatient: None, answer: Said) -> None:
    with SmallServer(lambda _: answer) as server, pytest.raises(DependencyLied, match=r"Mend tracking\.uri"):
        checked(server.url)


@pytest.mark.integration("mlflow traces", "misconfigured")
def test_a_driver_that_is_not_installed_is_told_without_the_password() -> None:
    with pytest.raises(DependencyUnavailable, match=r"mssql\S*://db/x cannot be used.*Mend tracking\.uri") as told:
        checked("mssql://u:s3cret@db/x")
    assert "s3cret" not in str(told.value)


@pytest.mark.integration("mlflow traces", "misconfigured")
@pytest.mark.parametrize("uri", ["ftp://mlflow.example", "mlruns"])
def test_an_address_that_no_store_has_is_told(uri: str) -> None:
    with pytest.raises(EvercrewError, match="tracking"):
        checked(uri)
