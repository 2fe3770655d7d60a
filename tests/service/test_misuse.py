"""Misuse of the command line: one clear line that names the field and the remedy, exit code 2, and no traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main

from service.cli import app, main
from service.reference import leaves
from service.starter import Site, starter

GOOD = starter(Site(platform="http://127.0.0.1:1"))
LEAVES = dict(leaves(typer.main.get_command(app), "evercrew"))
# What a command needs beside its configuration, by the parameter's name.
NEEDED = {
    "alert": "alert.json",
    "body": "alert.json",
    "by": "operator",
    "cycle_id": "si_2026_01_31_001",
    "environment": "staging",
    "expires": "2h",
    "identity": "ap_nothing",
    "kind": "promote",
    "level": "approve",
    "name": "auto_promote",
    "out": "out.jsonl",
    "reason": "why",
    "roles": "viewer",
    "scopes": "view",
    "threshold": "0.02",
    "to": "gold",
    "value": "off",
    "who": "operator",
}
MORE = {
    "evercrew overrides add": ["--gate", "ndcg_at_10"],
    "evercrew policy backtest": ["--gates", "good.yaml"],
    "evercrew rollback": ["--by", "operator", "--reason", "why"],
    **{f"evercrew backup {verb}": ["--to", "backups"] for verb in ("run", "list", "verify", "restore")},
}
# `doctor` tells it as a finding; the gateway asks for its token first.
TELLS_OTHERWISE = {"evercrew doctor", "evercrew llm-studio-gateway"}
CONFIGURED = [name for name, command in LEAVES.items() if any("--config" in p.opts for p in command.params)]
Ended = tuple[int, str, str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "alert.json").write_text('{"version": "4", "receiver": "evercrew", "alerts": []}', encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "a-folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# A line that holds ten of what the line before it holds, and so on.
LAUGHS = "".join(
    f"  l{n}: &l{n} {{{', '.join(f'k{m}: *l{n - 1}' if n else f'k{m}: 1' for m in range(10))}}}\n" for n in range(9)
)


@pytest.fixture
def evercrew(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def called(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["evercrew", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return called


def words(name: str) -> list[str]:
    """A call of a command with what it needs, but for its configuration."""
    said = name.split()[1:]
    for each in LEAVES[name].params:
        if each.required:
            said += [each.opts[0]] if each.opts[0].startswith("-") else []
            said += [NEEDED[each.name or ""]]
    return [*said, *MORE.get(name, [])]


@pytest.mark.parametrize("name", [name for name in CONFIGURED if name not in TELLS_OTHERWISE])
def test_every_command_says_that_its_configuration_is_not_there(name: str, evercrew: Callable[..., Ended]) -> None:
    code, out, err = evercrew(*words(name), "--config", "nowhere.yaml")
    assert (code, out) == (2, "")
    assert err == (
        "evercrew: nowhere.yaml: there is no such file. Write one with `evercrew init`, or name it with --config\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{GOOD}\nplatfrom: x\n", "platfrom: there is no such field. Write platform"),
        (
            GOOD.replace("  model: reranker", "  modell: reranker"),
            "tracking.modell: there is no such field. Write model",
        ),
        (GOOD.replace("    roles:", "    rolls: []\n    roles:"), "rolls: there is no such field. Write roles"),
        (f"{GOOD}\nzzzzzz: x\n", "zzzzzz: there is no such field. Fields there are: access, alert_names"),
        (GOOD.replace("platform:\n  url: http://127.0.0.1:1\n", ""), "platform: is missing. Set it"),
        (
            GOOD.replace("  url: http://127.0.0.1:1\n", "  urll: x\n", 1),
            "platform.urll: there is no such field. Write url",
        ),
        (GOOD.replace("  url: http://127.0.0.1:1\n", "  zzz: x\n", 1), "platform.url: is missing. Set it"),
        (GOOD.replace("environment: staging", "environment: mars"), "environment: Input should be 'dev', 'staging'"),
        (GOOD.replace("  url: http://127.0.0.1:1\n", "  url: nonsense\n", 1), "platform.url: "),
        ("a: [1\n b: {", "is not YAML: line 2, column "),
        (f"{GOOD}\nenvironment: dev\n", "the key 'environment' appears twice"),
        (f"{GOOD}\nschedules: {'{a: ' * 200}1{'}' * 200}\n", "nests more than 100 levels deep at line"),
        (f"{GOOD}\nschedules:\n{LAUGHS}", "holds more than 100000 values, its aliases written out at line"),
        (f"{GOOD}\nschedules: &all {{again: *all}}\n", "holds all inside itself at line"),
        (GOOD.replace("environment: staging", "environment: !!int staging"), "holds a value that is none"),
        ("- a\n", "the file: holds no fields"),
        ("", "the file: holds no fields"),
        (GOOD.replace("  repository: datasets\n  remote: dvc-remote", "  7"), "datasets: holds no fields"),
    ],
)
def test_what_does_not_fit_in_a_configuration_is_named(
    text: str, said: str, place: Path, evercrew: Callable[..., Ended]
) -> None:
    (place / "mine.yaml").write_text(text, encoding="utf-8")
    code, _, err = evercrew("cycles", "list", "--config", "mine.yaml")
    assert code == 2
    assert said in err
    assert err.startswith("evercrew: mine.yaml: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["binary", "a-folder"])
def test_a_configuration_that_is_no_text_file_is_named(name: str, evercrew: Callable[..., Ended]) -> None:
    code, _, err = evercrew("flags", "list", "--config", name)
    assert code == 2
    assert err.startswith(f"evercrew: {name}: ")
    assert err.count("\n") == 1


def test_the_doctor_tells_of_a_bad_configuration_as_it_tells_of_everything(evercrew: Callable[..., Ended]) -> None:
    code, out, err = evercrew("doctor", "--config", "nowhere.yaml")
    assert (code, err) == (3, "1 of 1 are broken: configuration\n")
    assert out.startswith("BROKEN  configuration nowhere.yaml: there is no such file.")


def test_the_doctor_names_a_contract_that_cannot_be_used(place: Path, evercrew: Callable[..., Ended]) -> None:
    (place / "mine.yaml").write_text(f"{GOOD}\ncontract: rules.yaml\n", encoding="utf-8")
    (place / "rules.yaml").write_text("signals: [", encoding="utf-8")
    code, out, err = evercrew("doctor", "--config", "mine.yaml")
    assert code == 3
    assert re.fullmatch(r"\d+ of \d+ are broken: contract, [a-z, ]+\n", err)
    assert "BROKEN  contract     rules.yaml: " in out
    assert "ok      policies     signals not known, profile staging" in out


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("init --out no/such/folder.yaml", "out"),
        ("init --out good.yaml", "out"),
        ("init --out new.yaml --platform nonsense", "platform: 'nonsense' is none"),
        ("alerts test binary", "--config"),
        ("alerts test nowhere.json --config good.yaml", "body"),
        ("alerts rules --interval soon --config good.yaml", "interval"),
        ("alerts rules --interval 0s --config good.yaml", "interval"),
        ("inbox put binary --config good.yaml", "body"),
        ("run --alert binary --config good.yaml", "alert"),
        ("policy backtest --policy nowhere --config good.yaml", "policy"),
        ("policy backtest --gates good.yaml --last 900000d --config good.yaml", "last"),
        ("tokens create ann --scope view --days 0 --config good.yaml", "--days"),
        ("tokens create ann --scope view --days 1e12 --config good.yaml", "--days"),
        ("tokens create ann --scope view --days nan --config good.yaml", "--days"),
        ("report weekly --week 9999-W52 --config good.yaml", "week"),
        ("report weekly --week 0001-W01 --config good.yaml", "week"),
        ("report weekly --from 9999-12-31 --to 9999-12-31 --config good.yaml", "from"),
        ("backup verify --to backups --config good.yaml", "stamp: there is no backup yet"),
        ("approvals show ap_nothing --config good.yaml", "approval: there is no"),
        ("cycles show si_2026_01_31_001 --config good.yaml", "cycle_id"),
        ("cycles cancel si_2026_01_31_001 --config good.yaml", "cycle_id"),
        ("demo --collection a-folder --out demo", "collection"),
        ("bench attack --data nowhere", "data: nowhere is no folder"),
        ("bench backtest --state nowhere", "state: nowhere is no folder"),
        ("bench decisions --collection nowhere", "collection: nowhere is no folder"),
        ("bench scale --curve curve.svg --sizes x", "sizes"),
        ("bench serve --postgres postgresql://a@b/c", "postgres"),
        ("kill on --by ann", "--reason"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_bad_input_is_answered_by_one_line_that_names_it(
    said: str, field: str, evercrew: Callable[..., Ended]
) -> None:
    code, _, err = evercrew(*said.split())
    assert code == 2
    assert err.startswith("evercrew: ")
    assert field in err
    assert err.count("\n") == 1
    assert len(err.split(". ")) > 1, "a remedy follows"


def test_a_backup_to_nowhere_is_refused(evercrew: Callable[..., Ended]) -> None:
    code, _, err = evercrew("backup", "run", "--to", "", "--config", "good.yaml")
    assert (code, err) == (2, "evercrew: to: is empty. Name a folder or s3://bucket/prefix\n")


def test_an_assistant_cannot_be_served_where_nobody_can_listen(evercrew: Callable[..., Ended]) -> None:
    code, _, err = evercrew("mcp", "--http", "--host", "no host of ours", "--config", "good.yaml")
    assert code == 3
    assert "mcp: no host of ours:8765 cannot be listened on" in err


def test_a_file_that_cannot_be_written_is_named(place: Path, evercrew: Callable[..., Ended]) -> None:
    (place / "mine.yaml").write_text(GOOD.replace("state: .evercrew", "state: good.yaml/state"), encoding="utf-8")
    code, _, err = evercrew("cycles", "list", "--config", "mine.yaml")
    assert code in (2, 3)
    assert "good.yaml" in err
    assert "Traceback" not in err


def test_an_empty_record_says_that_it_is_empty(evercrew: Callable[..., Ended]) -> None:
    said = {
        "cycles list": "no cycles",
        "approvals list": "nothing waits for anybody",
        "overrides list": "no overrides",
        "flags history": "no changes",
        "audit tail": "no records",
        "users list": "nobody; `evercrew serve` makes the first admin",
        "tokens list": "no tokens",
        "budget history": "no entries",
        "autonomy history": "nothing is on record",
    }
    assert {name: evercrew(*name.split(), "--config", "good.yaml")[1].strip() for name in said} == said
