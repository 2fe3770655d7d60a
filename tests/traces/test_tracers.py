"""Which sinks the settings name, and what they need; and the trace of a rollback by hand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from adapters.traces.memory import MemoryTraces
from cycles.restore import OperatorRestore
from domain.clock import SystemClock
from domain.diagnosis import Action
from domain.errors import ConfigurationError
from domain.trace import trace_id_of
from service.settings import load
from service.tracers import sinks_of, traces_of
from tests.integrations.backup.office import config_in
from tests.support.office import ended, office_in_memory
from tests.support.setting import MODEL
from tools.deliver.restore import Restorer

KEY, ENDPOINT = {"LANGSMITH_API_KEY": "k"}, {"EVERCREW_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("environment", "sinks"),
    [
        ({}, ["mlflow"]),
        (KEY, ["langsmith"]),
        (ENDPOINT, ["mlflow", "otel"]),
        ({**KEY, **ENDPOINT}, ["langsmith", "otel"]),
        ({"EVERCREW_TRACES": "none", **KEY}, []),
        ({"EVERCREW_TRACES": "otel , mlflow,otel"}, ["otel", "mlflow"]),
    ],
)
def test_sinks_are_those_that_are_named_or_configured(environment: Mapping[str, str], sinks: list[str]) -> None:
    assert sinks_of(load(environment)) == sinks


@pytest.mark.parametrize("named", ["jaeger", "langsmith;mlflow", "none,mlflow", "auto,otel", ","])
def test_a_sink_that_is_none_names_the_setting(named: str) -> None:
    with pytest.raises(ConfigurationError, match="EVERCREW_TRACES"):
        load({"EVERCREW_TRACES": named})


@pytest.mark.parametrize(
    ("environment", "setting"),
    [
        ({"EVERCREW_TRACES": "otel"}, "EVERCREW_OTLP_ENDPOINT"),
        ({"EVERCREW_TRACES": "langsmith"}, "LANGSMITH_API_KEY"),
        ({**ENDPOINT, "EVERCREW_OTLP_HEADERS": "nonsense"}, "EVERCREW_OTLP_HEADERS"),
    ],
)
def test_a_sink_without_what_it_needs_names_the_setting(
    tmp_path: Path, environment: Mapping[str, str], setting: str
) -> None:
    with ExitStack() as closing, pytest.raises(ConfigurationError, match=setting):
        traces_of(config_in(tmp_path), load(environment), SystemClock(), closing)


def test_credentials_of_the_collector_are_not_shown() -> None:
    assert "s3cret" not in repr(load({"EVERCREW_OTLP_HEADERS": "authorization=s3cret"}))


def test_a_rollback_by_hand_is_a_trace_of_its_own_with_root_and_end(tmp_path: Path) -> None:
    traces = MemoryTraces()
    rig = office_in_memory(tmp_path, Action.RETRAIN, traces=traces)
    ended(rig, Action.RETRAIN)
    hand = OperatorRestore(rig.office, person="Ann", target="search", environment=rig.profile.name)
    ports = rig.ports
    found = Restorer(
        ports.vcs, ports.tracking, ports.datasets, rig.store, model=MODEL, target="search", environment=rig.profile.name
    )
    done = hand.run(found.resolve("v1"), "tests")
    cycle = rig.store.cycle(done.cycle_id)
    assert cycle is not None
    mine = [span for span in traces.taken if span.cycle_id == cycle.id]
    root = [span for span in mine if span.is_root]
    assert {span.place.trace for span in mine} == {trace_id_of(cycle.id, cycle.opened_at)}
    assert [span.end is not None for span in root] == [False, True]
    assert root[-1].outputs["outcome"] == "restored"
    assert "restore_values" in {span.name for span in mine}
