"""`evercrew notify` on a real application: what is printed, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import service.cli
from adapters.notices.base import NewNotice, NoticeState
from domain.errors import ConfigurationError, InvalidInput
from service.cli_notify import notify
from service.notify_sections import NotifyConfig
from service.settings import Settings
from service.wiring import App
from tests.stubs.small_server import Said, SmallServer
from tests.support.serving import serving_of


@pytest.fixture
def slack() -> Iterator[SmallServer]:
    with SmallServer(lambda _: Said(200, b"ok", "text/plain")) as server:
        yield server


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application in which nothing happened."""
    app = serving_of(tmp_path_factory.mktemp("quiet"), told=False).app
    yield app
    app.close()


@pytest.fixture
def app(quiet: App, slack: SmallServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    config = quiet.config.model_copy(update={"notify": NotifyConfig.model_validate({"slack": {}, "attempts": 1})})
    app = replace(quiet, config=config, settings=Settings(notify_slack_url=f"{slack.url}/services/x"))
    shown = SimpleNamespace(**{**vars(app), "current_accounts": app.current_accounts, "close": lambda: None})
    monkeypatch.setattr(service.cli, "wired", lambda config, workflow=True: shown)
    return shown


def run(*words: str) -> Any:
    return CliRunner().invoke(notify, list(words))


def put(app: Any, key: str) -> None:
    now = app.clock.now()
    told = NewNotice(
        channel="slack", key=key, kind="outcome", severity="info", title=f"title {key}", body="b", due_at=now
    )
    app.notices.put([told], now=now)


def test_a_test_message_is_sent_or_the_reason_is_told(app: Any, slack: SmallServer) -> None:
    assert run("test").stdout == "sent    slack\n"
    slack.lie = Said(404, b"no_service")
    failed = run("test", "--json")
    assert failed.exit_code == 1
    assert "no_service" in json.loads(failed.stdout)["slack"]


def test_a_channel_that_is_none_is_misuse(app: Any) -> None:
    assert isinstance(run("test", "--channel", "email").exception, InvalidInput)


def test_without_a_section_there_is_nobody_to_tell(app: Any) -> None:
    app.config = app.config.model_copy(update={"notify": None})
    assert isinstance(run("test").exception, ConfigurationError)


def test_dead_letters_are_listed_and_sent_again(app: Any, slack: SmallServer) -> None:
    put(app, "k1")
    slack.lie = Said(500, b"down")
    assert "0 sent, 0 tried again later, 1 dead" in run("run", "--once").stdout
    shown = run("list", "--state", "dead")
    assert "title k1" in shown.stdout
    assert "answered 500" in shown.stdout
    slack.lie = None
    assert run("retry").stdout == "1 wait again\n"
    assert run("retry").exit_code == 1
    assert "1 sent" in run("run", "--once").stdout
    listed = json.loads(run("list", "--json").stdout)
    assert [row["state"] for row in listed["notices"] if row["key"] == "k1"] == [NoticeState.SENT.value]


def test_a_state_that_is_none_is_misuse(app: Any) -> None:
    assert isinstance(run("list", "--state", "lost").exception, InvalidInput)
