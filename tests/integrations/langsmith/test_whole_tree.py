"""The trace of a cycle as it arrives: one whole tree, masked, with its outcome, and links to the audit chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.traces.langsmith import LangSmithTraces
from adapters.traces.redact import MASK
from agents.playbook import Playbook
from agents.roster import default_roster
from crews.judges import CrewJudges
from crews.session import Limits
from cycles.engine import Engine
from domain.clock import SystemClock
from domain.diagnosis import Action
from domain.trace import trace_id_of
from tests.stubs.langsmith_server import LangSmithStub
from tests.support.office import Rig, ended, office_in_memory
from tests.support.sinks import flushed

works = pytest.mark.integration("langsmith", "works")
NAMES = ("monitor_metrics", "diagnosis", "augmentation", "training", "ab_test", "deploy")


class Walked:
    """A cycle that was walked with traces, and what had arrived by its end."""

    def __init__(self, folder: Path, *, zstd: bool = True) -> None:
        self.stub = LangSmithStub(zstd=zstd)
        self.traces = LangSmithTraces(api_key="k", clock=SystemClock(), endpoint=self.stub.start())
        self.rig = office_in_memory(folder, Action.RETRAIN, traces=self.traces)
        self.cycle = ended(_with_crews(self.rig, self.traces), Action.RETRAIN)
        flushed(self.traces)

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        return self.stub.runs

    def named(self, name: str) -> list[dict[str, Any]]:
        return [run for run in self.runs.values() if run["name"] == name]


def _with_crews(rig: Rig, traces: LangSmithTraces) -> Rig:
    judges = CrewJudges(
        rig.gate, default_roster(), lambda role: Playbook(), rig.office.observer, traces, Limits(), clock=SystemClock()
    )
    office = replace(rig.office, judges=judges)
    return replace(rig, office=office, engine=Engine(office, rig.workflow))


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    made = Walked(tmp_path_factory.mktemp("walked"))
    yield made
    made.stub.stop()


@works
def test_the_cycle_is_one_tree_under_the_root_that_its_identity_names(walked: Walked) -> None:
    assert walked.traces.lost == 0
    assert walked.stub.wrong == []
    [root] = [run for run in walked.runs.values() if not run.get("parent_run_id")]
    assert root["name"] == "self_improvement_cycle"
    assert root["id"] == str(UUID(trace_id_of(walked.cycle.id, walked.cycle.opened_at)))
    assert {run["trace_id"] for run in walked.runs.values()} == {root["id"]}
    assert {run["parent_run_id"] for run in walked.runs.values() if "parent_run_id" in run} <= set(walked.runs)


@works
def test_every_span_was_closed_and_the_stages_have_the_names_they_are_looked_for_by(walked: Walked) -> None:
    assert [run["name"] for run in walked.runs.values() if not run.get("end_time")] == []
    [root] = walked.named("self_improvement_cycle")
    stages = {run["name"] for run in walked.runs.values() if run.get("parent_run_id") == root["id"]}
    assert set(NAMES) < stages


@works
def test_below_a_stage_stand_crew_task_model_call_tool_call_and_the_doors_decision(walked: Walked) -> None:
    [decision, *_] = [run for run in walked.named("door") if "task" in walked.runs[_above(walked, run, 2)]["name"]]
    way = []
    at: str | None = decision["id"]
    while at:
        way.append(walked.runs[at]["name"])
        at = walked.runs[at].get("parent_run_id")
    assert way[0] == "door"
    assert way[2:4] == ["task diagnosis_propose", "crew diagnosis"]
    assert way[-2:] == ["diagnosis", "self_improvement_cycle"]
    [model, *_] = walked.named("diagnosis_propose")
    assert model["run_type"] == "llm"
    assert walked.runs[model["parent_run_id"]]["name"] == "task diagnosis_propose"


def _above(walked: Walked, run: dict[str, Any], levels: int) -> str:
    for _ in range(levels):
        run = walked.runs[run["parent_run_id"]]
    return str(run["id"])


@works
def test_model_calls_carry_tokens_cost_messages_and_what_was_answered(walked: Walked) -> None:
    [model, *_] = walked.named("diagnosis_propose")
    told = model["extra"]["metadata"]
    assert (told["ls_model_name"], told["ls_provider"]) == ("playbook", "evercrew")
    assert set(told["usage_metadata"]) == {"input_tokens", "output_tokens", "total_tokens", "total_cost"}
    assert {message["role"] for message in model["inputs"]["messages"]} >= {"system", "user"}
    assert model["outputs"]["model"] == "playbook"


@works
def test_calls_link_to_the_audit_chain_and_the_chain_links_back(walked: Walked) -> None:
    records = {record.sequence: record for record in walked.rig.audit.records(walked.cycle.id)}
    trace = trace_id_of(walked.cycle.id, walked.cycle.opened_at)
    linked = set()
    for run in walked.runs.values():
        for link in run["extra"]["metadata"].get("audit", ()):
            assert records[link["sequence"]].hash == link["hash"]
            assert records[link["sequence"]].entry.kind.value == link["kind"]
            linked.add(link["sequence"])
    calls = {number for number, record in records.items() if record.entry.tool}
    assert linked == calls
    assert {records[number].entry.trace_id for number in calls} == {trace}
    assert all(records[number].intact() for number in calls)


@works
def test_the_verified_outcome_comes_back_as_feedback_on_the_root(walked: Walked) -> None:
    [root] = walked.named("self_improvement_cycle")
    told = {row["key"]: row for row in walked.stub.feedback.values()}
    assert {row["run_id"] for row in told.values()} == {root["id"]}
    assert (told["outcome_verified"]["score"], told["outcome_verified"]["value"]) == (1.0, "improved")
    assert told["gate_evaluate"]["score"] == 1.0
    assert root["outputs"]["outcome"] == "improved"


@works
def test_large_posts_are_compressed_where_the_endpoint_asks_for_it(walked: Walked, tmp_path: Path) -> None:
    assert "zstd" in walked.stub.encodings
    plain = Walked(tmp_path, zstd=False)
    plain.stub.stop()
    assert "zstd" not in plain.stub.encodings
    assert len(plain.runs) == len(walked.runs)


SECRETS = ("sk-live-0123456789abcdef", "ada@example.org", "hunter2hunter2", "4111 1111 1111 1111")


def _told(traces: LangSmithTraces) -> None:
    with traces.span("call", "tool", {"text": SECRETS[0]}, cycle_id="c") as span:
        span.done({"password": SECRETS[2], "mail": [{"to": SECRETS[1]}]})
        span.tell(reason=f"paid with {SECRETS[3]}")
        raise ValueError(f"{SECRETS[1]} said password={SECRETS[2]}")


@works
def test_nothing_leaves_unmasked() -> None:
    stub = LangSmithStub()
    traces = LangSmithTraces(api_key="k", clock=SystemClock(), endpoint=stub.start())
    with pytest.raises(ValueError, match="ada"):
        _told(traces)
    flushed(traces)
    stub.stop()
    assert not [secret for secret in SECRETS if secret in stub.spoken]
    [run] = stub.runs.values()
    assert run["outputs"] == {"password": MASK, "mail": [{"to": MASK}]}
    assert run["error"] == f"ValueError: {MASK} said password={MASK}"
    assert json.dumps(run).count(MASK) == 6
