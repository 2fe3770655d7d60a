"""`evercrew audit`, as it is typed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.audit.keys import KEY, Keys
from adapters.audit.signed import HEAD, SignedAudit
from adapters.audit.signing import SigningKey
from adapters.audit.sqlite import SqliteAudit
from domain.clock import SystemClock
from domain.errors import ConfigurationError, InvalidInput
from service.cli_audit import audit
from service.config import Config
from tests.contract.audit_contract import CYCLE, entry
from tests.integrations.audit.test_audit import TRIGGERS
from tests.integrations.backup.office import config_in


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = config_in(tmp_path)
    made.state.mkdir()
    clock = SystemClock()
    chain = SqliteAudit(made.audit_file, clock)
    anchor = made.state / "artifacts" / HEAD
    signed = SignedAudit(chain, Keys(made.state), clock, anchor=anchor, every=4)
    for number in range(6):
        signed.append(entry(key=f"k{number}"))
    chain.close()
    return made


def typed(folder: Path, *words: str) -> tuple[int, str]:
    """Run the command; an error of ours is raised."""
    result = CliRunner().invoke(audit, [*words, "--config", str(folder / "evercrew.yaml")], catch_exceptions=False)
    return result.exit_code, result.stdout


def read(folder: Path, *words: str) -> Any:
    return json.loads(typed(folder, *words, "--json")[1])


def behind_its_back(config: Config, *statements: str) -> None:
    with closing(sqlite3.connect(config.audit_file, isolation_level=None)) as connection:
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            connection.execute(statement)


def test_a_whole_chain_is_verified_and_says_what_is_covered(config: Config, tmp_path: Path) -> None:
    code, said = typed(tmp_path, "verify")
    assert code == 0
    assert "audit.head has seen record 5" in said
    found = read(tmp_path, "verify", "--no-elsewhere")
    assert (found["verified"], found["records"], found["covered"], found["not_covered"]) == (True, 7, 4, 2)
    assert found["key"] == Keys(config.state).current().id


FOLLOWS = timedelta(seconds=1)
CUT = "DELETE FROM records WHERE sequence > 3"


@pytest.mark.parametrize(
    ("statements", "record", "why"),
    [
        (["UPDATE records SET body = replace(body, 'promote', 'retire') WHERE sequence = 2"], 2, "changed"),
        (["DELETE FROM records WHERE sequence = 2"], 2, "removed"),
        (["UPDATE records SET sequence = 99 WHERE sequence = 7"], 7, "removed"),
        (
            [
                "UPDATE records SET sequence = -sequence WHERE sequence IN (2, 3)",
                "UPDATE records SET sequence = sequence + 5 WHERE sequence < 0",
            ],
            2,
            "reordered",
        ),
        ([CUT], 4, "truncated"),
        ([CUT, "UPDATE head SET count = 3, hash = (SELECT hash FROM records WHERE sequence = 3)"], 4, "truncated"),
    ],
)
def test_what_was_done_to_the_chain_is_named_and_ends_with_1(
    config: Config, tmp_path: Path, statements: list[str], record: int, why: str
) -> None:
    behind_its_back(config, *statements)
    code, said = typed(tmp_path, "verify", "--no-elsewhere", "--json")
    found = json.loads(said)
    assert (code, found["verified"], found["record"], found["why"]) == (1, False, record, why)


def test_another_key_than_the_one_that_signed_is_named(config: Config, tmp_path: Path) -> None:
    stranger, mine = SigningKey.made().public, Keys(config.state).current().public
    code, said = typed(tmp_path, "verify", "--no-elsewhere", "--key", stranger, "--json")
    assert (code, json.loads(said)["why"]) == (1, "unknown key")
    assert typed(tmp_path, "verify", "--no-elsewhere", "--key", stranger, "--key", mine)[0] == 0
    with pytest.raises(ConfigurationError, match="evercrew audit keys"):
        typed(tmp_path, "verify", "--key", "no key")


def test_an_anchor_that_is_gone_takes_the_proof_away_until_it_is_made_anew(config: Config, tmp_path: Path) -> None:
    (config.state / "artifacts" / HEAD).unlink()
    code, said = typed(tmp_path, "verify", "--no-elsewhere")
    assert (code, "evercrew audit checkpoint" in said) == (1, True)
    assert read(tmp_path, "checkpoint")["count"] == 7
    assert "vouches for 8 records" in typed(tmp_path, "checkpoint")[1]
    assert typed(tmp_path, "verify", "--no-elsewhere")[0] == 0


def test_a_proof_is_told_in_words_and_not_in_those_of_the_program(config: Config, tmp_path: Path) -> None:
    _, said = typed(tmp_path, "verify", "--no-elsewhere")
    assert "verified     yes" in said
    assert "retired      none" in said
    assert "not covered" in said
    assert "{" not in said


def test_an_export_comes_with_what_verifies_it(config: Config, tmp_path: Path) -> None:
    out = tmp_path / "handed" / "audit.jsonl"
    _, said = typed(tmp_path, "export", "--out", str(out), "--with-verifier")
    words = said.splitlines()[-1].removeprefix("verify with: python ").split()
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "verified: records 1 to 8" in done.stdout) == (0, True)
    part = read(tmp_path, "export", "--out", str(out), "--cycle", CYCLE)
    assert (part["scope"], part["first"], part["verifier"]) == (CYCLE, 1, None)
    with pytest.raises(InvalidInput, match="evercrew cycles list"):
        typed(tmp_path, "export", "--out", str(out), "--cycle", "si_2020_01_01_001")


def test_the_newest_records_are_shown_and_those_that_follow(config: Config, tmp_path: Path) -> None:
    _, said = typed(tmp_path, "tail", "-n", "3")
    assert [line.split()[0] for line in said.splitlines()] == ["5", "6", "7"]
    _, said = typed(tmp_path, "tail", "-n", "2", "--cycle", CYCLE, "--json")
    assert [json.loads(line)["record"]["sequence"] for line in said.splitlines()] == [6, 7]
    program = [sys.executable, "-c", "from service.cli import main; main()"]
    command = [
        *program,
        "audit",
        "tail",
        "-n",
        "0",
        "--follow",
        "--for",
        "10",
        "--config",
        str(tmp_path / "evercrew.yaml"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        chain = SqliteAudit(config.audit_file, SystemClock())
        clock = SystemClock()
        while following.poll() is None:
            clock.sleep(FOLLOWS)
            chain.append(entry(cycle_id="si_2026_01_31_007"))
        chain.close()
        said, _ = following.communicate(timeout=60)
    assert said.count("si_2026_01_31_007") >= 1


def test_a_rotation_hands_over_and_the_keys_are_shown(config: Config, tmp_path: Path) -> None:
    first = read(tmp_path, "keys")
    done = read(tmp_path, "rotate")
    assert (done["old"], done["record"]) == (first["keys"][0]["key"], 8)
    shown = read(tmp_path, "keys")
    assert [(row["key"], row["role"], row["at_hand"]) for row in shown["keys"]] == [
        (done["old"], "root", False),
        (done["new"], "handed over to", True),
    ]
    assert all("PUBLIC KEY" in row["pem"] for row in shown["keys"])
    found = read(tmp_path, "verify", "--no-elsewhere")
    assert (found["verified"], found["key"], found["retired"]) == (True, done["new"], {done["old"]: 8})
    assert f"key {done['new']}" in typed(tmp_path, "keys")[1]


def test_a_key_of_ones_own_takes_over(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.pem"
    mine.write_text(SigningKey.made().pem())
    _, said = typed(tmp_path, "rotate", "--to", str(mine))
    assert "now give the service that key" in said
    monkeypatch.setenv("EVERCREW_AUDIT_KEY", str(mine))
    assert "EVERCREW_AUDIT_KEY (mine.pem)" in typed(tmp_path, "keys")[1]
    with pytest.raises(ConfigurationError, match="--to"):
        typed(tmp_path, "rotate")


def test_a_lost_key_is_replaced_by_one_that_is_trusted(config: Config, tmp_path: Path) -> None:
    (config.state / KEY).unlink()
    shown = read(tmp_path, "keys")
    assert "signs nothing" in shown["state"]
    (mine,) = [row for row in shown["keys"] if row["at_hand"]]
    assert mine["role"] == "not trusted"
    assert "signed by key" in read(tmp_path, "keys", "--trust", mine["public"])["state"]
    typed(tmp_path, "checkpoint")
    assert read(tmp_path, "verify", "--no-elsewhere")["key"] == mine["key"]
