"""Trace stores, held to their contract."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from adapters.traces.base import TracesPort
from adapters.traces.langsmith import LangSmithTraces
from adapters.traces.memory import MemoryTraces
from adapters.traces.mlflow import MlflowTraces
from adapters.traces.none import NoTraces
from domain.clock import SystemClock
from tests.contract.traces_contract import Seen, TracesContract
from tests.stubs.langsmith_server import LangSmithStub


class TestNoTraces(TracesContract):
    keeps = False

    @pytest.fixture
    def traces(self) -> TracesPort:
        return NoTraces()

    @pytest.fixture
    def seen(self, traces: TracesPort) -> Callable[[], dict[str, Seen]]:
        return dict


class TestMemoryTraces(TracesContract):
    @pytest.fixture
    def traces(self) -> TracesPort:
        return MemoryTraces()

    @pytest.fixture
    def seen(self, traces: TracesPort) -> Callable[[], dict[str, Seen]]:
        kept = cast(MemoryTraces, traces).spans
        return lambda: {
            span.name: Seen(
                name=span.name,
                kind=span.kind,
                parent=span.parent,
                inputs=span.inputs,
                outputs=span.outputs,
                error=span.error,
            )
            for span in kept
        }


class TestLangSmithTraces(TracesContract):
    @pytest.fixture
    def stub(self) -> Iterator[LangSmithStub]:
        stub = LangSmithStub()
        yield stub
        stub.stop()

    @pytest.fixture
    def traces(self, stub: LangSmithStub) -> TracesPort:
        return LangSmithTraces(api_key="key", clock=SystemClock(), endpoint=stub.start())

    @pytest.fixture
    def seen(self, traces: TracesPort, stub: LangSmithStub) -> Callable[[], dict[str, Seen]]:
        def read() -> dict[str, Seen]:
            names = {identity: run["name"] for identity, run in stub.runs.items()}
            return {
                run["name"]: Seen(
                    name=run["name"],
                    kind=run["run_type"],
                    parent=names.get(run.get("parent_run_id") or "", ""),
                    inputs=run.get("inputs") or {},
                    outputs=run.get("outputs") or {},
                    error=run.get("error") or "",
                )
                for run in stub.runs.values()
            }

        return read


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


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
