"""What others have seen of the chain gives away what was cut off it; backups carry the chain, and no private key."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.audit.keys import KEY, KEYRING
from adapters.audit.signed import HEAD
from adapters.backup.local import LocalObjects
from domain.clock import FrozenClock, SystemClock
from domain.permit import PermitOffice
from service.auditing import anchor_of, audit_of, chain_of
from service.backup import back_up, restore
from service.cli_audit import audit
from service.config import Config
from service.settings import Settings
from service.site import Site
from service.systems import vcs_of
from tests.contract.audit_contract import entry
from tests.contract.gitremote import Remote, commit
from tests.contract.vcs_contract import CHANGED, VALUES
from tests.integrations.audit.test_audit import TRIGGERS
from tests.integrations.backup.office import config_in


def written(config: Config, count: int) -> None:
    with ExitStack() as closing_:
        chain = audit_of(config, SystemClock(), closing_)
        for number in range(count):
            chain.append(entry(key=f"k{number}"))


def verified(folder: Path) -> tuple[int, Any]:
    words = ["verify", "--json", "--config", str(folder / "evercrew.yaml")]
    result = CliRunner().invoke(audit, words, catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout)


def cut(config: Config, kept: int) -> None:
    """Cut the chain as somebody would who may write every file of the state."""
    with closing(sqlite3.connect(config.audit_file, isolation_level=None)) as connection:
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(f"DELETE FROM records WHERE sequence > {kept}")
        connection.execute(f"UPDATE head SET count = {kept}, hash = (SELECT hash FROM records WHERE sequence = {kept})")
    (config.state / "artifacts" / HEAD).unlink(missing_ok=True)


@pytest.mark.integration("audit", "lying")
def test_a_commit_that_carries_the_head_gives_a_cut_away(tmp_path: Path) -> None:
    remote = Remote(tmp_path, VALUES)
    config = config_in(tmp_path, values={"remote": str(remote.folder)})
    written(config, 5)
    clock = SystemClock()
    with ExitStack() as closing_:
        permits = PermitOffice(clock)
        site = Site(config, Settings(), permits, clock, closing_, anchor_of(audit_of(config, clock, closing_)))
        revision = commit(vcs_of(site), permits, CHANGED)
    code, found = verified(tmp_path)
    assert (code, found["commits"], found["backups"]) == (0, "1 have seen the chain", "none has seen the chain")
    cut(config, 4)
    code, found = verified(tmp_path)
    assert (code, found["record"], found["why"]) == (1, 5, "truncated")
    assert f"commit {revision[:12]} has seen record 6" in found["problem"]


@pytest.mark.integration("audit", "lying")
def test_a_backup_gives_a_cut_away_and_what_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    config = config_in(tmp_path, backup={"to": str(tmp_path / "backups")})
    written(config, 5)
    made = back_up(config, LocalObjects(tmp_path / "backups"), SystemClock())
    assert made.audit_records == 6
    code, found = verified(tmp_path)
    assert (code, found["backups"]) == (0, "1 have seen the chain")
    assert found["commits"].startswith("not looked at: ")
    cut(config, 3)
    code, found = verified(tmp_path)
    assert (code, found["record"], found["why"]) == (1, 4, "truncated")
    assert "backup" in found["problem"]


@pytest.mark.integration("audit", "refused")
def test_a_backup_holds_the_keyring_and_no_private_key(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    written(config, 3)
    objects = LocalObjects(tmp_path / "backups")
    back_up(config, objects, SystemClock())
    done = restore(config, objects, SystemClock(), into=tmp_path / "again")
    state = tmp_path / "again" / "state"
    assert (state / KEYRING).exists()
    assert not (state / KEY).exists()
    assert not (state / "artifacts" / HEAD).exists()
    assert done.audit_records == 4


@pytest.mark.integration("audit postgresql", "works")
def test_a_chain_in_a_server_goes_into_a_backup_and_into_an_empty_server(
    tmp_path: Path, fresh: Callable[[], str]
) -> None:
    config = config_in(tmp_path, audit_url=fresh())
    written(config, 3)
    assert not (config.state / "audit.db").exists()
    objects = LocalObjects(tmp_path / "backups")
    made = back_up(config, objects, SystemClock())
    assert made.audit_records == 4
    again = config_in(tmp_path, audit_url=fresh(), state="again")
    done = restore(again, objects, SystemClock())
    assert "audit.jsonl" in done.parts
    chain = chain_of(again, FrozenClock())
    assert (chain.verify(), chain.head().hash) == (4, made.audit_head)
    assert chain.append(entry()).sequence == 5
    chain.close()
    other = config_in(tmp_path, audit_url=again.audit_url, state="third")
    assert "audit.jsonl" in restore(other, objects, SystemClock()).left_alone


@pytest.mark.integration("audit", "works")
def test_a_chain_in_a_file_elsewhere_goes_into_a_backup_too(tmp_path: Path) -> None:
    config = config_in(tmp_path, audit_url="sqlite:///apart/chain.db")
    assert config.audit_file == tmp_path / "apart" / "chain.db"
    written(config, 3)
    objects = LocalObjects(tmp_path / "backups")
    made = back_up(config, objects, SystemClock())
    assert made.audit_records == 4
    done = restore(config, objects, SystemClock(), into=tmp_path / "again")
    assert done.audit_records == 4
    assert (tmp_path / "again" / "audit.db").exists()


@pytest.mark.integration("audit postgresql", "works")
def test_the_commands_work_on_a_chain_in_a_server(tmp_path: Path, fresh: Callable[[], str]) -> None:
    config = config_in(tmp_path, audit_url=fresh())
    written(config, 3)
    code, found = verified(tmp_path)
    assert (code, found["records"], found["covered"]) == (0, 4, 3)
    (config.state / "artifacts" / HEAD).unlink()
    assert verified(tmp_path)[1]["why"] == "anchor missing"
