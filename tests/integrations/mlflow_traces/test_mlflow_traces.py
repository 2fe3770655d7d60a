"""Traces in MLflow: on its database, and at a server that is down, late, or something else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.traces.base import TracesPort
from adapters.traces.langsmith import LangSmithTraces
from adapters.traces.mlflow import MlflowTraces
from domain.clock import SystemClock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, EvercrewError
from tests.contract.traces_contract import Seen, TracesContract
from tests.stubs.small_server import Said, SmallServer, said

CLOCK = SystemClock()
DEAD = "http://127.0.0.1:9"


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


@pytest.mark.integration("mlflow traces", "works")
class TestMlflowTraces(TracesContract):
    @pytest.fixture
    def uri(self, template: Path, tmp_path: Path) -> str:
        shutil.copyfile(template, tmp_path / "mlflow.db")
        return f"sqlite:///{tmp_path / 'mlflow.db'}"

    @pytest.fixture
    def traces(self, uri: str) -> Iterator[TracesPort]:
        traces = MlflowTraces(uri)
        yield traces
        traces.close()

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
                        kind=span.span_type.lower(),
                        parent=names.get(span.parent_id or "", ""),
                        inputs=span.inputs or {},
                        outputs=span.outputs or {},
                        error=str(span.get_attribute("error") or ""),
                    )
            return found

        return read


@pytest.mark.integration("mlflow traces", "refused")
def test_a_tracking_server_that_is_down_neither_blocks_nor_raises(impatient: None) -> None:
    traces = MlflowTraces(DEAD, patience=timedelta(seconds=0.3))
    assert trace(traces, 5) < 5
    assert traces.lost == 5
    traces.close(0.1)
    with pytest.raises(DependencyUnavailable, match=r"no connection.*tracking\.uri"):
        checked(DEAD)


def checked(uri: str, seconds: float = 20) -> str:
    """Return what the check says; what it raises comes through."""
    traces = MlflowTraces(uri, patience=timedelta(seconds=seconds))
    try:
        return traces.check()
    finally:
        traces.close(0.1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service sets for MLflow's client, with the times of tests."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.integration("mlflow traces", "refused")
@pytest.mark.parametrize(("status", "remedy"), [(401, "EVERCREW_TRACKING_TOKEN"), (403, "Grant EDIT")])
def test_credentials_that_are_refused_name_what_to_set(impatient: None, status: int, remedy: str) -> None:
    with SmallServer(lambda _: Said(status, b"no")) as server, pytest.raises(DependencyUnavailable, match=remedy):
        checked(server.url)


@pytest.mark.integration("mlflow traces", "slow")
def test_a_server_that_hangs_holds_up_neither_the_span_nor_the_check(impatient: None) -> None:
    with SmallServer(lambda _: said({}), delay=30) as server:
        traces = MlflowTraces(server.url, patience=timedelta(seconds=0.3))
        assert trace(traces, 5) < 2
        assert traces.lost == 5
        with pytest.raises(DependencyTimeout, match=r"server of tracking\.uri"):
            traces.check()
        traces.close(0.1)


@pytest.mark.integration("mlflow traces", "lying")
def test_an_answer_that_names_no_experiment_is_a_lie(impatient: None) -> None:
    with SmallServer(lambda _: said({})) as server, pytest.raises(DependencyLied, match="names no experiment"):
        checked(server.url)


@pytest.mark.integration("mlflow traces", "lying")
def test_a_server_that_comes_back_is_found_by_the_next_check(impatient: None) -> None:
    found = {"experiment": {"experiment_id": "7", "name": "evercrew", "lifecycle_stage": "active"}}
    with SmallServer(lambda _: said(found), lie=Said(200, b"<html>Starting</html>", "text/html")) as server:
        traces = MlflowTraces(server.url, patience=timedelta(seconds=20))
        with pytest.raises(DependencyLied, match="no MLflow server"):
            traces.check()
        server.lie = None
        assert "experiment evercrew" in traces.check()
        traces.close(0.1)


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
