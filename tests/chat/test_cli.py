"""`evercrew chat` at a terminal: one sentence or a conversation, shown back before anything happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from domain.access import AccessRole
from service import cli_approvals
from service.api.serving import Serving
from service.cli import app
from service.cli_chat import caller_here
from tests.support.serving import serving_of


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """An application that the command line is wired to, run by Dora, an operator."""
    made = serving_of(tmp_path / "served")
    monkeypatch.setattr("service.cli.wired", lambda *_args, **_how: made.app)
    as_user(monkeypatch, "dora")
    return made


def as_user(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(cli_approvals, "account", lambda: name)


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["chat", "--orchestrator", "none", *words], input=typed)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def killed(served: Serving) -> bool:
    return any(row.enabled and row.name == "kill_switch" for row in served.app.ports.store.flags())


def test_a_question_is_answered(here: Serving) -> None:
    result = run("how is dev?")
    assert result.exit_code == 0, result.output
    assert "dev is not stopped" in result.stdout


def test_an_order_without_a_terminal_is_shown_and_not_done(here: Serving) -> None:
    result = run("stop everything in dev")
    assert result.exit_code == 1
    assert "I would stop everything in dev" in result.stdout
    assert "Nothing was done" in result.stdout
    assert not killed(here)


def test_yes_confirms_what_can_be_taken_back(here: Serving) -> None:
    result = run("--yes", "stop everything in dev")
    assert result.exit_code == 0, result.output
    assert "Done: stopped" in result.stdout
    assert killed(here)


@pytest.mark.parametrize("sentence", ["start again in dev", "cancel si_2026_01_01_006"])
def test_yes_is_not_taken_for_what_cannot_simply_be_taken_back(
    here: Serving, monkeypatch: pytest.MonkeyPatch, sentence: str
) -> None:
    as_user(monkeypatch, "ann")
    result = run("--yes", sentence)
    assert result.exit_code == 1
    assert "--yes is not taken" in result.stdout
    cycle = here.app.ports.store.cycle("si_2026_01_01_006")
    assert cycle is not None
    assert not cycle.cancel_requested


def test_events_are_json_lines_for_machines(here: Serving) -> None:
    found = lines(run("--json", "how is dev?"))
    assert found[-1]["event"] == "done"
    asked = lines(run("--json", "stop everything in dev"))
    assert [line["event"] for line in asked] == ["proposes", "done", "note"]


def test_a_conversation_goes_on_until_it_is_left(here: Serving) -> None:
    result = run(typed="how is dev?\nblorb\nhelp\nexit\nstop everything in dev\n")
    assert result.exit_code == 0
    assert "did not understand" in result.stdout
    assert "You can ask" in result.stdout
    assert "I would" not in result.stdout


def test_somebody_unknown_may_look_and_ask_only(here: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, "mallory")
    known = caller_here(here.app, here.access)
    assert (known.name, known.person, known.roles) == ("mallory", None, frozenset({AccessRole.VIEWER}))
    assert run("how is dev?").exit_code == 0


def test_an_order_of_somebody_unknown_is_refused(here: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, "mallory")
    result = run("--yes", "stop everything in dev")
    assert result.exit_code == 1
    assert "Refused" in result.stdout


def test_who_is_disabled_keeps_no_role(here: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    here.access.keeper.disable("Dora", by="Ann")
    assert caller_here(here.app, here.access).roles == frozenset({AccessRole.VIEWER})


def test_an_orchestrator_there_is_not_is_misuse(here: Serving) -> None:
    result = CliRunner().invoke(app, ["chat", "--orchestrator", "swarm", "help"])
    assert result.exit_code != 0
    assert "swarm" in str(result.exception)
