"""`evercrew rollback` and `evercrew schedule` on an office in memory: what is printed, and the exit code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import service.cli
from domain.clock import FrozenClock
from domain.errors import InvalidInput
from service.cli_rollback import roll_back
from service.cli_schedule import schedule
from tests.integrations.gold.test_gold import _damaged, gold_of, golden, spoilt
from tests.support.office import Rig
from tests.support.setting import MODEL, contract, signal_reader

app = typer.Typer()
app.command("rollback")(roll_back)
app.add_typer(schedule, name="schedule")


@dataclass
class Office:
    rig: Rig

    def run(self, *words: str) -> Any:
        return CliRunner().invoke(app, list(words))


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    rig = golden(tmp_path).rig
    built: SimpleNamespace = SimpleNamespace(
        ports=rig.ports,
        office=rig.office,
        engine=rig.engine,
        audit=rig.audit,
        clock=rig.clock,
        profile=rig.profile,
        reader=signal_reader(rig.ports.metrics, rig.profile, contract(rig.profile), rig.clock),
        settings=SimpleNamespace(executor_id="local"),
        config=SimpleNamespace(
            target="search",
            environment="dev",
            backup=None,
            tracking=SimpleNamespace(model=MODEL, retention=SimpleNamespace(enabled=False)),
            schedules={},
            values=SimpleNamespace(layout={}, path="values.yaml"),
        ),
        targets=("search",),
        at=lambda _target: built,
        close=lambda: None,
    )
    monkeypatch.setattr(service.cli, "wired", lambda config, workflow=True: built)
    return Office(rig)


def test_a_dry_run_shows_the_change_and_the_steps_and_changes_nothing(office: Office) -> None:
    head = spoilt(office.rig)
    done = office.run("rollback", "--to", "gold", "--dry-run")
    assert done.exit_code == 0, done.output
    assert gold_of(office.rig).name in done.output
    assert "+  mode: balanced" in done.output
    assert done.output.count("ok    ") == 4
    assert office.rig.ports.vcs.head() == head
    _damaged(office.rig)
    broken = office.run("rollback", "--to", "gold", "--dry-run", "--json")
    assert broken.exit_code == 1
    assert [s["ok"] for s in json.loads(broken.output)["steps"]] == [True, True, False, True]


def test_a_rollback_says_what_is_live_and_where_it_is_on_record(office: Office) -> None:
    spoilt(office.rig)
    done = office.run("rollback", "--to", "gold", "--by", "Ann", "--reason", "worse")
    assert done.exit_code == 0, done.output
    (cycle,) = [c for c in office.rig.store.cycles() if c.alert.source == "operator"]
    assert f"recorded as {cycle.id}" in done.output
    assert office.rig.ports.vcs.head()[:12] in done.output


@pytest.mark.parametrize("words", [[], ["--by", "Ann"], ["--reason", "worse"], ["--by", " ", "--reason", "worse"]])
def test_a_rollback_without_a_name_or_a_reason_is_refused(office: Office, words: list[str]) -> None:
    head = spoilt(office.rig)
    done = office.run("rollback", "--to", "gold", *words)
    assert isinstance(done.exception, InvalidInput)
    assert "Add --by and --reason" in str(done.exception)
    assert office.rig.ports.vcs.head() == head


def test_the_schedules_are_listed_run_and_shown(office: Office) -> None:
    first = office.run("schedule", "list")
    assert first.exit_code == 0, first.output
    assert "rehearsal 30 3 * * 0" in " ".join(first.output.split())
    assert first.output.count("never ran") == 3
    done = office.run("schedule", "once", "rehearsal")
    assert done.exit_code == 0, done.output
    assert "can be restored" in done.output
    _damaged(office.rig)
    assert isinstance(office.rig.clock, FrozenClock)
    office.rig.clock.advance(timedelta(minutes=1))
    failed = office.run("schedule", "once", "rehearsal", "--json")
    assert failed.exit_code == 1
    assert "cannot be restored: dataset" in json.loads(failed.output)["detail"]
    rows = {row["name"]: row["last"] for row in json.loads(office.run("schedule", "list", "--json").output)}
    assert (rows["rehearsal"]["status"], rows["health"]) == ("failed", None)
