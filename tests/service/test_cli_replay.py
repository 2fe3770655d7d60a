"""`evercrew cycles replay` and `evercrew policy backtest`, as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.audit.sqlite import SqliteAudit
from adapters.store.sqlalchemy import SqlStore
from cycles.decisions import decision_log, log_text
from cycles.shelf import TapeForged, TapeMissing, tapes_of
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import InvalidInput, PolicySetBroken
from policies.packaged import packaged_policy_files
from service.cli import app
from tests.integrations.backup.office import config_in
from tests.support.office import ended, office_in_memory

FORBIDS = """
@id("forbid-tunings")
@reason("no setting is changed this week")
forbid (principal, action == Action::"apply_tuning", resource);
"""
# Everything that leads out of the process, shut; and the command behind it.
OFFLINE = """
import socket, sys
def shut(*_, **__):
    raise AssertionError("a replay went to the network")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, shut)
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = shut
sys.argv = ["evercrew", *sys.argv[1:]]
from service.cli import main
main()
"""


@dataclass
class Site:
    """A folder with a configuration, and one recorded cycle in its store."""

    folder: Path
    store: SqlStore
    cycle: Cycle

    def type(self, *words: str) -> tuple[int, str]:
        """Run the command; an error of ours is raised."""
        words = (*words, "--config", str(self.folder / "evercrew.yaml"))
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        return result.exit_code, result.stdout

    def replay(self, *words: str) -> tuple[int, str]:
        """Replay the cycle."""
        return self.type("cycles", "replay", self.cycle.id, *words)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A tuned cycle on SQLite."""
    with ExitStack() as closing:
        yield recorded(tmp_path_factory.mktemp("site"), closing)


def recorded(folder: Path, closing: ExitStack) -> Site:
    """Record a cycle there."""
    config, clock = config_in(folder), FrozenClock()
    config.state.mkdir()
    audit = SqliteAudit(config.audit_file, clock)
    closing.callback(audit.close)
    store = SqlStore(f"sqlite:///{config.state}/evercrew.db")
    closing.callback(store.close)
    rig = office_in_memory(folder / "office", Action.TUNE, audit=audit, store=store, clock=clock)
    return Site(folder, store, ended(rig, Action.TUNE))


def test_a_replay_says_that_it_came_to_the_same(site: Site, tmp_path: Path) -> None:
    code, said = site.replay("--out", str(tmp_path / "log.jsonl"))
    assert (code, "the same decisions, byte for byte" in said) == (0, True)
    lines = log_text(decision_log(tapes_of(site.store, site.cycle.id)))
    assert (tmp_path / "log.jsonl").read_text() == lines
    assert all(json.loads(line)["kind"] in ("call", "answer", "verdict", "transition") for line in lines.splitlines())


@pytest.mark.parametrize(("seed", "zone"), [("1", "Asia/Kolkata"), ("4242", "America/St_Johns")])
def test_it_is_the_same_offline_in_another_zone_and_under_another_hash_seed(
    site: Site, tmp_path: Path, seed: str, zone: str
) -> None:
    out = tmp_path / "log.jsonl"
    words = ["cycles", "replay", site.cycle.id, "--config", str(site.folder / "evercrew.yaml"), "--out", str(out)]
    environment = {"PYTHONHASHSEED": seed, "TZ": zone, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", OFFLINE, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert out.read_text() == log_text(decision_log(tapes_of(site.store, site.cycle.id)))


def test_under_another_set_it_names_the_first_decision_that_changes(site: Site, tmp_path: Path) -> None:
    code, said = site.replay("--policy", str(folder_of(tmp_path, FORBIDS)))
    assert code == 1
    assert "apply_tuning for devops_engineer/stage: deny by forbid-tunings" in said
    assert "what the world would have done is not known" in said


def test_under_other_gates_and_for_machines(site: Site, tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text("guards:\n  no_quality_loss:\n    threshold: -0.2\n")
    code, said = site.replay("--gates", str(gates), "--json")
    assert (code, json.loads(said)["partings"]) == (0, [])


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("cycles", "replay", "si_2020_01_01_001"), "si_2020_01_01_001 is not a cycle"),
        (("cycles", "replay", "si_2026_01_01_001", "--policy", "nowhere"), "is no folder"),
        (("cycles", "replay", "si_2026_01_01_001", "--gates", "nowhere.yaml"), "cannot be read"),
        (("cycles", "replay", "si_2026_01_01_001", "--model", "gpt-9"), "without a key"),
        (("policy", "backtest"), "nothing is exchanged"),
        (("policy", "backtest", "--gates", __file__, "--last", "30"), "is no duration"),
    ],
)
def test_misuse_names_the_field(site: Site, words: tuple[str, ...], error: str) -> None:
    with pytest.raises(InvalidInput, match=error):
        site.type(*words)


def test_a_broken_set_is_never_asked(site: Site, tmp_path: Path) -> None:
    with pytest.raises(PolicySetBroken):
        site.replay("--policy", str(folder_of(tmp_path, "forbid everything")))


def test_a_forged_tape_is_not_replayed_and_a_missing_one_is_named(tmp_path: Path) -> None:
    with ExitStack() as closing:
        own = recorded(tmp_path, closing)
        [kept] = own.store.recordings(own.cycle.id, "step/00003")
        payload: dict[str, Any] = {**kept.payload, "stage": "learn"}
        own.store.record(kept.model_copy(update={"payload": payload}))
        with pytest.raises(TapeForged, match="step"):
            own.replay()
        own.store.record(kept.model_copy(update={"kind": "gone"}))
        with pytest.raises(TapeMissing, match="the tape of step 3 is missing"):
            own.replay()


def test_a_backtest_names_what_the_set_would_have_stopped(site: Site, tmp_path: Path) -> None:
    words = ("policy", "backtest", "--policy", str(folder_of(tmp_path, FORBIDS)), "--last", "9000d")
    code, said = site.type(*words)
    assert (code, "promotions it would have stopped: 1" in said) == (0, True)
    assert "allow (permit-deliver) -> deny (forbid-tunings)" in said
    found = json.loads(site.type(*words, "--json")[1])
    assert found["policies"]["stopped"] == [f"{site.cycle.id}/4/apply_tuning"]
    assert site.type("policy", "backtest", "--policy", str(tmp_path / "set"), "--last", "1d")[1].startswith("0 cycles")


def test_a_backtest_of_gates_replays_each_cycle(site: Site, tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text("signals:\n  latency_p95_ms:\n    rollback:\n      limits: []\n")
    assert "led elsewhere: 0" in site.type("policy", "backtest", "--gates", str(gates), "--last", "9000d")[1]


def folder_of(tmp_path: Path, more: str) -> Path:
    """Write the packaged set and one more file."""
    folder = tmp_path / "set"
    folder.mkdir()
    for name, content in packaged_policy_files().items():
        (folder / name).write_bytes(content)
    (folder / "zz.cedar").write_text(more)
    return folder
