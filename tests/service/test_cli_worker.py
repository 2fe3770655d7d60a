"""`evercrew inbox` and `evercrew worker` on an office in memory: what is printed, and the exit code."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import service.cli
from adapters.executors.memory import MemoryExecutors
from adapters.inbox.memory import MemoryInbox
from adapters.workflow.inline import InlineWorkflow
from domain.clock import SystemClock
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable
from service.cli_worker import inbox, worker
from service.executor import Executor
from service.webhooks.trial import tried as try_routed
from tests.serve.senders import generic
from tests.service.test_worker import ROUTING, TTL, body
from tests.support.office import Rig, office_in_memory


class Shop:
    """An office with an inbox, and the two commands on it."""

    def __init__(self, folder: Path) -> None:
        self.rig: Rig = office_in_memory(folder, Action.TUNE)
        self.inbox = MemoryInbox(self.rig.store, self.rig.clock)
        workflow = InlineWorkflow(self.rig.clock)
        self.rig.engine._workflow = workflow
        self.rig.engine.launch()
        self.built = SimpleNamespace(
            ports=self.rig.ports,
            engine=self.rig.engine,
            inbox=self.inbox,
            workflow=workflow,
            executor=None,
            clock=self.rig.clock,
            routing=ROUTING,
            settings=SimpleNamespace(executor_id="local"),
            close=lambda: None,
        )

    def run(self, *words: str) -> Any:
        """Run `evercrew inbox`."""
        return CliRunner().invoke(inbox, list(words))

    def work(self, *words: str) -> Any:
        """Run `evercrew worker`."""
        app = typer.Typer()
        app.command()(worker)
        return CliRunner().invoke(app, list(words))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    made = Shop(tmp_path)
    monkeypatch.setattr(service.cli, "wired", lambda config, workflow=True, slots=None: made.built)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_body_is_put_in_and_shown(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "alert.json"
    file.write_text(body(shop.rig))
    put = shop.run("put", str(file), "--json")
    assert put.exit_code == 0
    assert json.loads(put.stdout) == {"accepted": 1, "ignored": [], "malformed": [], "truncated": 0}
    shown = shop.run("show")
    assert shown.exit_code == 0
    assert "waiting 1" in shown.stdout


def test_a_body_of_any_sender_is_put_in_as_its_endpoint_takes_it(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "alert.json"
    file.write_bytes(generic("f1", target="search"))
    for words in ((), ("--from", "generic")):
        put = shop.run("put", str(file), "--json", *words)
        assert (put.exit_code, json.loads(put.stdout)["accepted"]) == (0, 1), put.stdout
    refused = shop.run("put", str(file), "--from", "alertmanager")
    assert (refused.exit_code, "version: Field required" in refused.stdout) == (1, True)
    assert "Use one of: alertmanager, grafana, generic" in str(shop.run("put", str(file), "--from", "nobody").exception)
    tried = try_routed(file.read_bytes(), shop.built.routing, shop.rig.store, shop.inbox, shop.rig.clock)
    assert (tried.sender, [alert.accepted for alert in tried.alerts]) == ("generic", [True])


def test_what_does_not_fit_is_named_kept_and_the_answer_is_no(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "alert.json"
    file.write_text('{"version": "9"}')
    put = shop.run("put", str(file))
    assert put.exit_code == 1
    assert "version" in put.stdout
    shown = json.loads(shop.run("show", "--json").stdout)
    assert (shown["waiting"], shown["aside"]) == (0, 1)
    assert shown["set_aside"][0]["text"] == '{"version": "9"}'


def test_a_file_that_is_not_there_is_misuse(shop: Shop, tmp_path: Path) -> None:
    put = shop.run("put", str(tmp_path / "none.json"))
    assert put.exit_code != 0
    assert "cannot be read" in str(put.exception)


def test_a_worker_takes_what_waits_works_it_and_ends_when_it_is_idle(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "alert.json"
    file.write_text(body(shop.rig))
    shop.run("put", str(file))
    shop.built.clock = SystemClock()
    worked = shop.work("--until-idle")
    assert worked.exit_code == 0, worked.exception
    assert "worker local is ready" in worked.stdout
    assert "dev/search: 1 opened" in worked.stdout
    [cycle] = shop.rig.store.cycles()
    assert cycle.stage.value == "done"
    assert "opened 1" in shop.run("show").stdout


def test_a_worker_that_was_fenced_says_so(shop: Shop) -> None:
    executors = MemoryExecutors(SystemClock())
    executor = Executor(executors, "one", SystemClock(), ttl=TTL)
    executors.leave(executor.lease)
    executor.fenced.set()
    shop.built.executor = executor
    worked = shop.work()
    executor.close()
    assert isinstance(worked.exception, DependencyUnavailable)
    assert "took it for dead" in str(worked.exception)
