"""`evercrew flags` and `evercrew kill`, as they are typed; everything around the store may be down."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from adapters.audit.sqlite import SqliteAudit
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, InvalidInput
from service.cli_approvals import account
from service.cli_flags import flags, kill
from service.cli_overrides import overrides
from tests.integrations.backup.office import config_in

BY = ("--by", "ann", "--reason", "it loops")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    config_in(tmp_path)
    return tmp_path


def typed(app: typer.Typer, place: Path, *words: str, code: int = 0) -> str:
    """Run the command and return what it prints; an error of ours is raised."""
    command = [*words, "--config", str(place / "evercrew.yaml")]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def statuses(place: Path) -> list[tuple[str, str]]:
    """Return status and actor of every note of the chain."""
    with closing(SqliteAudit(place / "state" / "audit.db", FrozenClock())) as audit:
        return [(r.entry.status, r.entry.actor) for r in audit.records() if r.entry.kind.value == "note"]


def test_a_flag_is_set_listed_and_traced(place: Path) -> None:
    before = {row["flag"]: row for row in json.loads(typed(flags, place, "list", "--json"))["flags"]}
    assert (before["auto_promote"]["enabled"], before["auto_promote"]["said_by"]) == (True, "by the profile")
    details = ("--details", '{"ticket": "OPS-1"}')
    typed(flags, place, "set", "auto_promote", "off", "--env", "dev", *BY, *details)
    after = {row["flag"]: row for row in json.loads(typed(flags, place, "list", "--json"))["flags"]}
    assert (after["auto_promote"]["enabled"], after["auto_promote"]["said_by"]) == (False, "by the row of dev")
    assert after["auto_promote"]["details"] == {
        "by": "ann",
        "reason": "it loops",
        "ticket": "OPS-1",
        "account": account(),
    }
    typed(flags, place, "set", "auto_promote", "on", "--env", "dev", "--by", "bob", "--reason", "over")
    rows = json.loads(typed(flags, place, "history", "auto_promote", "--json"))
    assert [(row["enabled"], row["by"]) for row in rows] == [(True, "bob"), (False, "ann")]
    assert f"bob: over (account {account()})" in typed(flags, place, "history")
    assert "no changes" in typed(flags, place, "history", "ab_testing")
    assert statuses(place) == [("flag_set", "ann"), ("flag_set", "bob")]
    assert "auto_promote" in typed(flags, place, "list")


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("set", "auto_everything", "on", *BY), "flag"),
        (("set", "kill_switch", "on", *BY), "flag"),
        (("set", "auto_promote", "maybe", *BY), "value"),
        (("set", "auto_promote", "on", "--env", "moon", *BY), "env"),
        (("set", "auto_promote", "on", "--by", " ", "--reason", "r"), "by"),
        (("set", "auto_promote", "on", *BY, "--details", "[1]"), "details"),
        (("set", "auto_promote", "on", *BY, "--details", "{"), "details"),
    ],
)
def test_what_cannot_be_set_is_refused_with_the_remedy_and_leaves_no_trace(
    place: Path, words: tuple[str, ...], field: str
) -> None:
    with pytest.raises(InvalidInput) as problem:
        typed(flags, place, *words)
    assert problem.value.field == field
    assert problem.value.remedy
    assert statuses(place) == []


def test_the_kill_switch_is_thrown_shown_and_lifted(place: Path) -> None:
    assert "dev is not stopped" in typed(kill, place, "status")
    typed(kill, place, "on", *BY)
    told = json.loads(typed(kill, place, "status", "--json", code=1))
    assert told["killed"]
    assert "it loops; thrown by ann" in told["because"][0]
    assert "KILLED" in typed(flags, place, "list")
    typed(kill, place, "off", "--by", "bob", "--reason", "mended")
    assert "dev is not stopped" in typed(kill, place, "status")
    assert statuses(place) == [("kill_on", "ann"), ("kill_off", "bob")]


def test_a_switch_that_stays_on_elsewhere_is_told_and_ends_with_one(place: Path) -> None:
    typed(kill, place, "on", *BY)
    said = typed(kill, place, "off", "--env", "dev", *BY, code=1)
    assert "dev stays stopped: the kill switch is on everywhere" in said


def test_whoever_lifts_one_switch_is_told_of_every_other_that_is_on(place: Path) -> None:
    for words in ((), ("--env", "production"), ("--tool", "promote"), ("--agent", "ml_engineer", "--env", "dev")):
        typed(kill, place, "on", *BY, *words)
    said = typed(kill, place, "off", *BY).splitlines()
    assert said[0].startswith("off  kill_switch  ")
    assert len([line for line in said if line.startswith("STILL ON  on   kill_switch")]) == 3
    ways = [line.partition("lift it with: evercrew kill ")[2] for line in said if "lift it with" in line]
    assert [way.removesuffix(" --by NAME --reason TEXT") for way in ways] == [
        "off --env production",
        "off --env dev --agent ml_engineer",
        "off --env all --tool promote",
    ]
    told = json.loads(typed(kill, place, "off", *ways[0].split()[1:3], *BY, "--json"))
    assert [(row["name"], row["environment"]) for row in told["switches"]] == [
        ("kill_switch/agent/ml_engineer", "dev"),
        ("kill_switch/tool/promote", "all"),
    ]
    for way in ways[1:]:
        said = typed(kill, place, *way.split()[:-4], *BY).splitlines()
    assert len(said) == 1
    assert "STILL" not in typed(kill, place, "on", *BY)


def test_one_role_or_one_tool_can_be_stopped(place: Path) -> None:
    row = json.loads(typed(kill, place, "on", "--tool", "promote", "--env", "dev", *BY, "--json"))["switch"]
    assert row["name"] == "kill_switch/tool/promote"
    typed(kill, place, "on", "--agent", "ml_engineer", *BY)
    told = json.loads(typed(kill, place, "status", "--json"))
    assert {row["name"] for row in told["switches"]} == {"kill_switch/tool/promote", "kill_switch/agent/ml_engineer"}
    assert not told["killed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--agent", "janitor"), "supervisor"),
        (("--tool", "drop_table"), "is not a tool"),
        (("--tool", "roll_back"), "safe state"),
        (("--tool", "promote", "--agent", "ml_engineer"), "two switches"),
        (("--env", "moon"), "not an environment"),
    ],
)
def test_a_switch_that_cannot_be_is_refused(place: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        typed(kill, place, "on", *BY, *words)
    assert statuses(place) == []


def test_the_account_that_ran_the_command_is_on_record_whoever_is_named(place: Path) -> None:
    typed(kill, place, "on", "--by", "somebody else", "--reason", "it loops")
    typed(flags, place, "set", "auto_promote", "off", *BY, "--details", '{"account": "root of all"}')
    with closing(SqliteAudit(place / "state" / "audit.db", FrozenClock())) as audit:
        told = [r.entry.body["details"] for r in audit.records() if r.entry.kind.value == "note"]
    assert [(each["by"], each["account"]) for each in told] == [("somebody else", account()), ("ann", account())]


@pytest.mark.parametrize("broken", ["signals: [", None])
def test_it_is_thrown_and_lifted_while_the_contract_cannot_be_used(tmp_path: Path, broken: str | None) -> None:
    config_in(tmp_path, contract="mine.yaml")
    if broken is not None:
        (tmp_path / "mine.yaml").write_text(broken, encoding="utf-8")
    typed(kill, tmp_path, "on", *BY)
    assert "stopped" in typed(kill, tmp_path, "status", code=1)
    typed(kill, tmp_path, "off", *BY)
    typed(flags, tmp_path, "set", "auto_promote", "off", *BY)
    assert [status for status, _ in statuses(tmp_path)] == ["kill_on", "kill_off", "flag_set"]
    assert "no overrides" in typed(overrides, tmp_path, "list")
    wanted = ("add", "--gate", "ndcg_at_10", "--threshold", "0.02", "--env", "dev", "--expires", "1h")
    with pytest.raises(ConfigurationError):
        typed(overrides, tmp_path, *wanted, *BY)
