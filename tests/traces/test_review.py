"""Reviewing a cycle from our own record alone: every call with its answer, nothing twice, and holes are named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from adapters.audit.memory import MemoryAudit
from adapters.store.base import Recording
from agents.playbook import Playbook
from agents.roster import default_roster
from crews.judges import CrewJudges
from crews.session import Limits
from cycles.engine import Engine
from cycles.review import review
from cycles.reviewed import Review, Reviewed
from cycles.taped_chat import TapedChat
from domain.actor import Actor, Role
from domain.clock import SystemClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable, InvalidInput
from domain.receipt import RecordKind
from domain.stage import Stage
from domain.trace import DECISION, MODEL, TOOL, trace_id_of
from domain.untrusted import one_line
from service.cli_traces import traces
from service.traced import as_markdown, as_tree
from tests.stubs.small_server import NOBODY
from tests.support.office import Rig, ended, office_in_memory
from tests.support.serving import serving_of
from tests.support.story import opened


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rig, Cycle]:
    rig = office_in_memory(tmp_path_factory.mktemp("walked"), Action.RETRAIN)
    chat = TapedChat(Playbook())
    judges = CrewJudges(
        rig.gate,
        default_roster(),
        lambda _: chat,
        rig.office.observer,
        rig.office.traces,
        Limits(),
        clock=SystemClock(),
    )
    office = replace(rig.office, judges=judges)
    rig = replace(rig, office=office, engine=Engine(office, rig.workflow))
    return rig, ended(rig, Action.RETRAIN)


@pytest.fixture(scope="module")
def found(walked: tuple[Rig, Cycle]) -> Review:
    rig, cycle = walked
    return review(cycle.id, rig.store, rig.audit)


def named(found: Review, name: str) -> list[Reviewed]:
    return [node for node in found.tree.below() if node.name == name]


def test_every_call_of_the_chain_is_in_the_tree_once(walked: tuple[Rig, Cycle], found: Review) -> None:
    rig, cycle = walked
    told = [number for node in found.tree.below() if node.kind == TOOL for number in node.records]
    calls = [r.sequence for r in rig.audit.records(cycle.id) if r.entry.tool and r.entry.kind is not RecordKind.NOTE]
    assert sorted(told) == calls
    assert found.whole


def test_the_tree_has_the_levels_of_the_trace(found: Review) -> None:
    assert found.tree.name == "self_improvement_cycle"
    stages = [child.name for child in found.tree.children]
    assert [n for n in stages if n in ("diagnosis", "augmentation", "training", "ab_test", "deploy")] == [
        "diagnosis",
        "augmentation",
        "training",
        "ab_test",
        "deploy",
    ]
    [crew] = named(found, "crew diagnosis")
    [propose, check] = crew.children
    assert (propose.name, check.name) == ("task diagnosis_propose", "task diagnosis_review")
    kinds = {child.kind for child in propose.children}
    assert kinds == {MODEL, TOOL}
    [door] = next(child for child in propose.children if child.kind == TOOL).children
    assert (door.kind, door.answer) == (DECISION, "allow")
    assert door.policies
    assert door.policy_hash


def test_it_says_who_answered_and_what_an_effect_took_and_where_it_is_on_record(found: Review) -> None:
    [train] = named(found, "train_model")
    assert train.who == "ml_engineer/stage"
    assert len(train.records) == 2
    assert train.seconds is not None
    models = {node.model for node in found.tree.below() if node.kind == MODEL}
    assert models == {"playbook"}
    assert found.tree.tokens is not None
    assert found.tree.seconds is not None


def test_the_review_names_the_trace_by_the_identity_that_records_name_too(
    walked: tuple[Rig, Cycle], found: Review
) -> None:
    _, cycle = walked
    assert found.trace_id == trace_id_of(cycle.id, cycle.opened_at)
    assert any("of them name this trace" in note for note in found.notes)


def test_it_is_shown_as_a_tree_and_as_markdown(found: Review) -> None:
    console = Console(record=True, width=200, highlight=False)
    as_tree(found, console=console)
    shown = console.export_text()
    assert "self_improvement_cycle  improved" in shown
    assert "door  allow" in shown
    assert "more looks" in shown
    text = as_markdown(found, whole=True)
    assert text.startswith(f"# Review of {found.cycle_id}")
    assert "**train_model**" in text
    assert "more looks" not in text


def test_what_goes_to_a_file_is_cut_nowhere(found: Review, capsys: pytest.CaptureFixture[str]) -> None:
    as_tree(found, whole=True)
    shown = capsys.readouterr().out
    reasons = {one_line(node.reason, 160) for node in found.tree.below() if node.reason}
    assert reasons
    assert {reason for reason in reasons if reason not in shown} == set()


def test_text_of_others_does_not_become_markup(found: Review) -> None:
    evil = Reviewed(name="[name](http://evil)", kind=TOOL, reason="[link](http://evil) <script> **bold** [red]")
    text = as_markdown(found.model_copy(update={"tree": evil}))
    assert "[name](" not in text
    assert "[link](" not in text
    assert "<script>" not in text
    console = Console(record=True, width=200, highlight=False)
    as_tree(found.model_copy(update={"tree": evil}), console=console)
    assert "[red]" in console.export_text()


def test_a_cycle_under_way_shows_what_only_the_chain_knows_yet(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.RETRAIN)
    cycle = opened(rig, Action.RETRAIN, Stage.OBSERVE)
    rig.gate.call("signal_snapshot", {}, Actor(role=Role.METRICS_ANALYST), rig.desk(cycle).scope)
    found = review(cycle.id, rig.store, rig.audit)
    [call] = [node for node in found.tree.children if node.kind == TOOL]
    assert (call.name, call.reason) == (
        "signal_snapshot",
        "on no tape: of a step under way, or of a process that was interrupted",
    )
    assert any("no tape" in note for note in found.notes)


def test_a_forged_tape_and_a_changed_record_are_holes(walked: tuple[Rig, Cycle]) -> None:
    rig, cycle = walked
    [first, *_] = rig.store.recordings(cycle.id, "step/")
    forged = Recording(**{**first.model_dump(), "payload": {**first.payload, "stage": "train"}})
    rig.store.record(forged)
    audit = MemoryAudit(rig.clock)
    for record in rig.audit.records(cycle.id):
        audit.append(record.entry)
    try:
        found = review(cycle.id, rig.store, audit)
    finally:
        rig.store.record(first)
    assert not found.whole
    assert any(note.startswith("! the tape") for note in found.notes)


def test_a_cycle_that_is_none_is_told(walked: tuple[Rig, Cycle]) -> None:
    rig, _ = walked
    with pytest.raises(InvalidInput, match="is not a cycle"):
        review("si_2020_01_01_001", rig.store, rig.audit)


# -- as it is typed ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served")
    serving_of(made).app.close()
    return made


def typed(folder: Path, *words: str) -> tuple[int, str]:
    config = str(folder / "evercrew.yaml")
    result = CliRunner().invoke(traces, [*words, "--config", config], catch_exceptions=False)
    return result.exit_code, result.stdout


def test_the_command_prints_the_tree_without_any_service(folder: Path) -> None:
    code, listed = typed(folder, "review", "si_2026_01_01_001", "--json")
    assert code == 0
    told: dict[str, Any] = json.loads(listed)
    assert told["cycle_id"] == "si_2026_01_01_001"
    code, shown = typed(folder, "review", "si_2026_01_01_001")
    assert code == 0
    assert f"trace {told['trace_id']}" in shown.replace("\n", " ")
    code, text = typed(folder, "review", "si_2026_01_01_001", "--md")
    assert code == 0
    assert text.startswith("# Review of si_2026_01_01_001")


def test_the_check_asks_what_traces_are_sent_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERCREW_TRACES", "none")
    assert typed(folder, "check") == (0, "traces: none\n")
    monkeypatch.setenv("EVERCREW_TRACES", "otel")
    monkeypatch.setenv("EVERCREW_OTLP_ENDPOINT", NOBODY)
    with pytest.raises(DependencyUnavailable, match="EVERCREW_OTLP_ENDPOINT"):
        typed(folder, "check")
