"""The command line as a whole: its reference page, machine-readable answers, the version, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from service.cli import app
from service.cli_shape import SECTIONS
from service.reference import leaves, pages

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = dict(leaves(typer.main.get_command(app), "evercrew"))
# What goes on until it is stopped says what it does line by line.
RUNS_ON = ("gateway", "worker", "serve", "mcp", "notify run", "schedule run")


@pytest.mark.parametrize("file", ["cli.md", "settings.md", "configuration.md"])
def test_the_reference_is_what_the_code_says(file: str) -> None:
    kept = (ROOT / "docs" / "reference" / file).read_text(encoding="utf-8")
    assert kept == pages()[file], "run `make reference`"


@pytest.mark.parametrize("name", [name for name in COMMANDS if not name.endswith(RUNS_ON)])
def test_every_command_that_answers_can_answer_in_json(name: str) -> None:
    options = {spelt for each in COMMANDS[name].params for spelt in each.opts}
    assert "--json" in options or name.endswith(" schema"), "a schema is JSON anyway"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert (command.epilog or "").startswith("Example: ")


def test_every_command_stands_in_one_section_of_the_help() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted({name.split()[1] for name in COMMANDS})


@pytest.mark.parametrize("group", ["", *sorted({name.split()[1] for name in COMMANDS if name.count(" ") > 1})])
def test_no_sentence_of_a_help_is_cut_off(group: str) -> None:
    shown = CliRunner().invoke(app, [*([group] if group else []), "--help"], terminal_width=80).output
    assert "Usage: " in shown
    assert "..." not in shown.replace("[ARGS]...", "")


def test_the_version_is_that_of_the_package() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["evercrew", _version()]


def test_the_shell_completes_commands() -> None:
    asked = {"_EVERCREW_COMPLETE": "complete_bash", "COMP_WORDS": "evercrew appr", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['evercrew']; from service.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**_environment(), **asked}
    )
    assert done.stdout.split() == ["approvals"], done.stderr


def _version() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("version = "))


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(ROOT)}
