"""`evercrew alerts`: what a body would do is told, and nothing is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cycles.incidents import handler
from cycles.intake import accept
from domain.clock import FrozenClock
from service.cli import app
from service.database import database_of
from service.webhooks.trial import try_body
from tests.integrations.backup.office import config_in
from tests.serve.senders import NOON, alert, body, generic

ROUTES = [
    {"match": {"team": "search-*"}, "signal": "latency_p95_ms"},
    {"match": {"environment": "prod", "app": "shop"}, "signal": "ndcg_at_10", "target": "search"},
]


def ran(*words: str, given: str = "") -> tuple[int, str]:
    found = CliRunner().invoke(app, list(words), input=given)
    return found.exit_code, found.output


def tried(folder: Path, raw: bytes, **sections: Any) -> list[tuple[str, str]]:
    config = config_in(folder, **sections)
    return [(one.fate, one.signal) for one in try_body(raw, config).alerts]


def test_each_alert_is_told_of_and_no_database_is_made(tmp_path: Path) -> None:
    config_in(tmp_path)
    file = tmp_path / "alert.json"
    file.write_bytes(
        body(alert("f1"), alert("f2"), alert("f1"), alert("f3", signal="", alertname="Odd"), {"status": 1})
    )
    code, out = ran("alerts", "test", str(file), "--config", str(tmp_path / "evercrew.yaml"), "--json")
    told = json.loads(out)
    assert code == 0
    assert [one["fate"] for one in told["alerts"]] == ["opened", "joined", "duplicate", "ignored", "malformed"]
    assert (told["sender"], told["status"]) == ("alertmanager", 200)
    assert not (tmp_path / "state").exists()


def test_it_reads_stdin_and_tells_in_words(tmp_path: Path) -> None:
    config_in(tmp_path)
    words = ("alerts", "test", "-", "--config", str(tmp_path / "evercrew.yaml"))
    code, out = ran(*words, given=generic("f1").decode())
    assert code == 0
    assert "it would open a cycle" in out
    code, out = ran(*words, given="{")
    assert code == 1
    assert "is not JSON" in out


def test_routes_name_signal_and_target_before_the_labels_do(tmp_path: Path) -> None:
    raw = body(
        alert("f1", signal="", alertname="Odd", team="search-ranking"),
        alert("f2", signal="", alertname="Odd", team="ads"),
        alert("f3", signal="latency_p95_ms", environment="prod", app="shop"),
        alert("f4", signal="latency_p95_ms", environment="prod", app="news"),
    )
    expected = [("opened", "latency_p95_ms"), ("ignored", ""), ("joined", "ndcg_at_10"), ("ignored", "")]
    assert tried(tmp_path, raw, routes=ROUTES) == expected


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"match": {"a": "b"}, "signal": "no_such"}, "is not a signal"),
        ({"match": {"a": "b"}, "target": "elsewhere"}, "not what this configuration looks after"),
        ({"match": {"a": "b"}}, "neither a signal nor a target"),
        ({"match": {}, "signal": "ndcg_at_10"}, "at least 1"),
    ],
)
def test_a_route_that_cannot_be_is_named(tmp_path: Path, route: dict[str, Any], said: str) -> None:
    from domain.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match=said) as problem:
        tried(tmp_path, body(alert()), routes=[route])
    assert "routes" in problem.value.field


def test_what_is_known_already_counts(tmp_path: Path) -> None:
    from contextlib import ExitStack

    from cycles.intake import Routing
    from service.vendors import inbox_of

    config, clock = config_in(tmp_path), FrozenClock(NOON)
    with ExitStack() as closing:
        inbox = inbox_of(database_of(config, closing), clock)
        routing = Routing(["latency_p95_ms"], {}, [config.target], config.environment)
        accept(body(alert("f1")), routing, inbox)
        inbox.turn(handler(clock), now=NOON)
        before = inbox.counts()
    assert tried(tmp_path, body(alert("f1"), alert("f2"))) == [
        ("duplicate", "latency_p95_ms"),
        ("joined", "latency_p95_ms"),
    ]
    with ExitStack() as closing:
        assert inbox_of(database_of(config, closing), clock).counts() == before


def test_the_schema_is_printed(tmp_path: Path) -> None:
    code, out = ran("alerts", "schema")
    assert code == 0
    assert json.loads(out)["$schema"].endswith("2020-12/schema")


def test_an_unknown_sender_is_refused(tmp_path: Path) -> None:
    from domain.errors import InvalidInput

    with pytest.raises(InvalidInput, match="alertmanager, grafana, generic"):
        try_body(body(alert()), config_in(tmp_path), "nagios")
