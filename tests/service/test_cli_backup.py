"""`evercrew backup`, as it is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.errors import ConfigurationError, DigestMismatch, InvalidInput
from service.cli_backup import backup
from service.config import Config
from tests.integrations.backup.office import config_in, state_of


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = config_in(tmp_path, backup={"to": str(tmp_path / "backups")})
    state_of(made)
    return made


def typed(folder: Path, *words: str) -> str:
    """Run the command and return what it prints; an error of ours is raised."""
    result = CliRunner().invoke(backup, [*words, "--config", str(folder / "evercrew.yaml")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_backup_is_made_listed_verified_and_restored(config: Config, tmp_path: Path) -> None:
    assert "no backups" in typed(tmp_path, "list")
    made = json.loads(typed(tmp_path, "run", "--json"))
    assert (made["files"], made["audit_records"]) == (5, 3)
    (row,) = json.loads(typed(tmp_path, "list", "--json"))
    assert (row["stamp"], row["audit_head"]) == (made["stamp"], made["audit_head"])
    assert "5 files are what the manifest says" in typed(tmp_path, "verify")
    shutil.rmtree(config.state)
    said = typed(tmp_path, "restore")
    assert "3 audit records" in said
    assert "left alone models/mlflow.db" in said
    assert (config.state / "audit.db").exists()
    looked = json.loads(typed(tmp_path, "restore", made["stamp"], "--into", str(tmp_path / "look"), "--json"))
    assert looked["parts"] == ["models", "state"]


def test_a_damaged_backup_and_a_wrong_stamp_are_errors(config: Config, tmp_path: Path) -> None:
    typed(tmp_path, "run")
    victim = max((tmp_path / "backups" / "objects").iterdir(), key=lambda p: p.stat().st_size)
    victim.write_bytes(b"x")
    with pytest.raises(DigestMismatch, match=victim.name):
        typed(tmp_path, "verify")
    with pytest.raises(InvalidInput, match="evercrew backup list"):
        typed(tmp_path, "restore", "20200101T000000Z", "--into", str(tmp_path / "x"))


def test_without_a_place_for_backups_the_field_is_named(tmp_path: Path) -> None:
    config_in(tmp_path)
    with pytest.raises(ConfigurationError, match=r"backup\.to.*--to"):
        typed(tmp_path, "run")
    assert "no backups" in typed(tmp_path, "list", "--to", str(tmp_path / "other"))
