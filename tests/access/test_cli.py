"""`evercrew users` and `evercrew tokens`: a secret is printed once, and what a command did is on the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.accounts.passwords import Passwords
from adapters.accounts.sqlalchemy import SqlAccounts
from adapters.audit.sqlite import SqliteAudit
from adapters.database import Database
from domain.clock import SystemClock
from domain.errors import ConflictError, InvalidInput
from domain.receipt import RecordKind
from service.cli import app
from tests.integrations.backup.office import config_in


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config_in(tmp_path)
    return tmp_path / "evercrew.yaml"


def run(config: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)], input=stdin)


def told(config: Path, *arguments: str, stdin: str = "") -> Any:
    """Return what a command prints as JSON."""
    result = run(config, *arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def notes(config: Path) -> list[str]:
    audit = SqliteAudit(config.parent / "state" / "audit.db", SystemClock())
    try:
        return [record.entry.status for record in audit.records() if record.entry.kind is RecordKind.NOTE]
    finally:
        audit.close()


def secrets_kept(config: Path) -> str:
    """Return everything in the files of the state folder, as text."""
    files = (path for path in (config.parent / "state").rglob("*") if path.is_file())
    return "".join(path.read_bytes().decode("latin-1") for path in files)


def fits(config: Path, name: str, secret: str) -> bool:
    database = Database(f"sqlite:///{config.parent}/state/evercrew.db")
    try:
        found = SqlAccounts(database).account(name)
        return found is not None and Passwords().fits(found.secret, secret)
    finally:
        database.close()


def test_somebody_is_let_in_changed_and_shut_out(config: Path) -> None:
    made = told(config, "users", "add", "ann", "--role", "operator")
    assert (made["kind"], made["roles"], made["disabled"]) == ("local", ["operator"], False)
    assert fits(config, "ann", made["secret"])
    assert made["secret"] not in secrets_kept(config)
    assert told(config, "users", "roles", "ann", "--role", "viewer", "--role", "approver")["roles"] == [
        "approver",
        "viewer",
    ]
    changed = told(config, "users", "password", "ann")
    assert not fits(config, "ann", made["secret"])
    assert fits(config, "ann", changed["secret"])
    assert told(config, "users", "disable", "ann")["disabled"] is True
    assert told(config, "users", "disable", "ann", "--undo")["disabled"] is False
    listed = told(config, "users", "list")
    assert [(row["name"], row["roles"]) for row in listed] == [("ann", ["approver", "viewer"])]
    assert notes(config) == [
        *("account_added", "account_roles", "account_secret"),
        *("account_disabled", "account_enabled"),
    ]


def test_a_password_from_standard_input_is_not_printed(config: Path) -> None:
    made = told(config, "users", "add", "ann", "--role", "viewer", "--password-stdin", stdin="a long enough word\n")
    assert "secret" not in made
    assert fits(config, "ann", "a long enough word")
    empty = run(config, "users", "password", "ann", "--password-stdin", stdin="\n")
    assert isinstance(empty.exception, InvalidInput)


def test_a_machine_is_let_in_with_its_scopes(config: Path) -> None:
    made = told(config, "users", "add", "ci", "--machine", "--role", "operator", "--scope", "view")
    assert (made["kind"], made["scopes"]) == ("client", ["view"])
    assert len(made["secret"]) >= 43


def test_a_token_is_printed_once_listed_and_revoked(config: Path) -> None:
    told(config, "users", "add", "ann", "--role", "viewer")
    made = told(config, "tokens", "create", "ann", "--scope", "view", "--days", "7", "--label", "ci")
    assert made["token"].startswith(f"evc_{made['id']}_")
    assert made["token"] not in secrets_kept(config)
    listed = told(config, "tokens", "list", "ann")
    assert [(row["id"], row["scopes"], row["label"]) for row in listed] == [(made["id"], ["view"], "ci")]
    assert "digest" not in listed[0]
    assert told(config, "tokens", "revoke", made["id"])["revoked_at"] is not None
    assert "revoked" in run(config, "tokens", "list").output
    assert notes(config)[-2:] == ["token_given", "token_revoked"]


REFUSED: tuple[tuple[str, type[Exception]], ...] = (
    ("users add ann --role emperor", InvalidInput),
    ("users add engine --role viewer", InvalidInput),
    ("users add Root --role viewer", ConflictError),
    ("users roles nobody --role viewer", InvalidInput),
    ("users disable root", ConflictError),
    ("tokens create nobody --scope view", InvalidInput),
    ("tokens create root --scope fly", InvalidInput),
    ("tokens revoke 000000000000", InvalidInput),
)


def test_what_cannot_be_is_refused_and_changes_nothing(config: Path) -> None:
    told(config, "users", "add", "root", "--role", "admin")
    before = told(config, "users", "list")
    for command, kind in REFUSED:
        result = run(config, *command.split())
        assert isinstance(result.exception, kind), (command, result.output)
    assert told(config, "users", "list") == before
    assert told(config, "tokens", "list") == []


def test_plain_output_names_the_secret_once(config: Path) -> None:
    assert "nobody" in run(config, "users", "list").output
    added = run(config, "users", "add", "ann", "--role", "admin")
    assert "shown once" in added.output
    assert "ann" in run(config, "users", "list").output
    assert "shown once" not in run(config, "users", "list").output
    assert "no tokens" in run(config, "tokens", "list").output
    token = run(config, "tokens", "create", "ann", "--scope", "view").output
    assert token.startswith("evc_")
    assert run(config, "tokens", "revoke", token.split("_")[1]).output.endswith("is revoked\n")
