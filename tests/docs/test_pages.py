"""What the documents name is there: commands with their options, verbs, files, settings, fields, and each other."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest
import typer.main
import yaml
from pydantic import ValidationError
from typer.core import TyperGroup

from service.cli import app
from service.config import Config
from service.settings import names
from service.starter import Site, starter
from tests.docs.pages import blocks, called, code_lines, documents, headings, inline, links, words_of
from tests.layout.tree import ROOMS, ROOT, python_files, text, tree

# The pages in docs/reference are generated and held equal elsewhere; the changelog names what was.
BY_HAND = [name for name in documents() if not name.startswith(("docs/reference/", "CHANGELOG"))]
_FOLDERS = (*ROOMS, "tests", "docs", "deploy", "requirements", ".ci")
_PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(map(re.escape, _FOLDERS))})/[\w./*-]*\.\w+(?![\w<{{])")
_SETTING = re.compile(r"\bEVERCREW_[A-Z0-9_]*[A-Z0-9](?![\w<*])")
_CALL = re.compile(r"`(evercrew [^`]+)`")


@cache
def _root() -> Any:
    return typer.main.get_command(app)


def fault(words: list[str], *, whole: bool) -> str:
    """What is wrong with a call of the command line; one in a sentence (not `whole`) may leave out what it needs."""
    command: Any = _root()
    path = "evercrew"
    while isinstance(command, TyperGroup) and command.commands and words and not words[0].startswith("-"):
        below = command.commands.get(words[0])
        if below is None:
            return f"{path} has no command {words[0]}"
        command, path, words = below, f"{path} {words[0]}", words[1:]
    if isinstance(command, TyperGroup) and command.commands and not words:
        return f"{path} needs a command" if whole and not command.invoke_without_command else ""
    if command is _root():  # its options act while they are read: --install-completion writes
        known = {"--help", *(spelt for each in command.params for spelt in each.opts)}
        return "" if words[0] in known else f"{path} has no option {words[0]}"
    try:
        command.make_context(path, list(words))
    except typer.Exit:
        return ""
    except typer.TyperException as problem:
        missing = type(problem).__name__ in ("MissingParameter", "BadOptionUsage")
        said = getattr(problem, "format_message", problem.__str__)()
        return "" if missing and not whole else f"{path} {' '.join(words)}: {said}"
    return ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (".venv/bin/evercrew doctor    # looks", "doctor"),
        ("A=1 B=x evercrew run --alert a.json", "run --alert a.json"),
        ("evercrew budget show [--cycle ID] [--all]      limit, spent", "budget show --cycle ID --all"),
        ("evercrew alerts rules --interval 30s > rules.yml", "alerts rules --interval 30s"),
        ("evercrew audit keys | rotate", "audit keys"),
        ("evercrew kill on|off [--agent A | --tool T]", "kill on --agent A"),
        ("cd evercrew", ""),
    ],
)
def test_a_call_is_found_in_a_line_of_code(line: str, words: str) -> None:
    assert called(line) == words


@pytest.mark.parametrize(
    ("words", "whole", "said"),
    [
        ("doctor --json", True, ""),
        ("doctor --jsn", True, "jsn"),
        ("cycles shew", True, "no command shew"),
        ("cycles show", False, ""),
        ("cycles show", True, "cycle_id"),
        ("cycles", False, ""),
        ("cycles", True, "needs a command"),
        ("worker --slots many", True, "many"),
        ("bench", True, ""),
        ("rollback --too gold", True, "too"),
        ("--install-completion", True, ""),
        ("--versoin", True, "--versoin"),
    ],
)
def test_a_call_that_the_command_line_would_not_take_is_named(words: str, whole: bool, said: str) -> None:
    found = fault(words.split(), whole=whole)
    assert said in found if said else found == ""


def test_every_call_in_a_block_of_code_is_one_the_command_line_takes() -> None:
    calls = [(name, words) for name in BY_HAND for line in code_lines(name) if (words := called(line))]
    assert len(calls) > 50
    assert _faults(calls, whole=True) == []


def test_every_call_in_a_sentence_names_a_command_and_options_that_exist() -> None:
    calls = [(name, words) for name in BY_HAND for code in inline(name) if (words := called(code))]
    assert len(calls) > 100
    assert _faults(calls, whole=False) == []


def _faults(calls: list[tuple[str, str]], *, whole: bool) -> list[str]:
    return [f"{where}: {told}" for where, words in calls if words and (told := fault(words_of(words), whole=whole))]


def _sentences() -> Iterator[tuple[str, str]]:
    """Every text in the code, where it stands; what is put in while it runs is an x."""
    for name in python_files(*ROOMS):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.JoinedStr):
                parts = (str(p.value) if isinstance(p, ast.Constant) else "x" for p in node.values)
                yield f"{name}:{node.lineno}", "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{name}:{node.lineno}", node.value


def test_every_remedy_in_the_code_names_a_command_that_exists() -> None:
    calls = [(where, called(call)) for where, said in _sentences() for call in _CALL.findall(said)]
    assert len(calls) > 100
    assert _faults(calls, whole=False) == []


def _code(name: str) -> str:
    return "\n".join([*code_lines(name), *inline(name)])


def test_every_verb_of_make_exists() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", text("Makefile") or "", flags=re.MULTILINE))
    named = {
        (name, verb)
        for name in BY_HAND
        for verb in re.findall(r"^ *make ([a-z][a-z-]+)(?=\s|$)", _code(name), flags=re.MULTILINE)
    }
    assert len(named) > 10
    assert sorted((name, verb) for name, verb in named if verb not in verbs) == []


def test_every_file_of_the_repository_that_is_named_exists() -> None:
    named = {(name, path.rstrip("/.")) for name in BY_HAND for path in _PATH.findall(_code(name))}
    assert len(named) > 50
    assert sorted((name, path) for name, path in named if not _there(path)) == []


def _there(path: str) -> bool:
    return any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists() or (ROOT / f"{path}.py").exists()


def test_every_module_that_is_started_exists() -> None:
    named = {(name, module) for name in BY_HAND for module in re.findall(r"python -m ([\w.]+)", _code(name))}
    ours = {(name, module) for name, module in named if module.split(".")[0] in _FOLDERS}
    assert sorted((name, module) for name, module in ours if find_spec(module) is None) == []


def test_every_setting_that_is_named_exists() -> None:
    known = set(names().values())
    found = {(name, setting) for name in BY_HAND for setting in _SETTING.findall(text(name) or "")}
    named = {(name, re.sub(r"^EVERCREW_TARGETS__[A-Z0-9_]+?__", "EVERCREW_", setting)) for name, setting in found}
    assert len({setting for _name, setting in named}) > 20
    assert sorted((name, setting) for name, setting in named if setting not in known) == []


def test_every_link_leads_to_a_file_and_a_heading_that_exist() -> None:
    dead = []
    for name in documents():
        for to in links(name):
            path, _, anchor = to.partition("#")
            page = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            if not (ROOT / page).exists() or (anchor and page.endswith(".md") and anchor not in headings(page)):
                dead.append((name, to))
    assert dead == []


def test_every_page_is_found_from_the_readme_by_links() -> None:
    seen, waiting = {"README.md"}, ["README.md"]
    while waiting:
        name = waiting.pop()
        for to in links(name):
            page = posixpath.normpath(posixpath.join(posixpath.dirname(name), to.partition("#")[0]))
            if page.endswith(".md") and page not in seen and (ROOT / page).is_file():
                seen.add(page)
                waiting.append(page)
    assert {name for name in documents() if name.startswith("docs/")} - seen == set()


def _whole() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(starter(Site()))
    return found


def _fragments(name: str) -> Iterator[dict[str, Any]]:
    """Blocks of a document that are parts of `evercrew.yaml`."""
    for block in blocks(name):
        try:
            found = yaml.safe_load("\n".join(block))
        except yaml.YAMLError:
            continue
        if isinstance(found, dict) and found and set(found) <= set(Config.model_fields):
            yield found


def _laid(over: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _laid(over[key], value)
        for key, value in part.items()
        if isinstance(value, dict) and isinstance(over.get(key), dict)
    }
    return {**over, **part, **both}


def test_every_part_of_a_configuration_is_one_that_is_read() -> None:
    parts = [(name, part) for name in BY_HAND for part in _fragments(name)]
    wrong = []
    for name, part in parts:
        try:
            Config.model_validate(_laid(_whole(), part))
        except ValidationError as problem:
            wrong.append(f"{name}: {sorted(part)}: {problem.errors()[0]['loc']}: {problem.errors()[0]['msg']}")
    assert len(parts) > 10
    assert wrong == []


def test_the_table_of_ports_has_every_port() -> None:
    _, _, after = (text("docs/architecture.md") or "").partition("### What stands behind the ports")
    rows = [line.split("|")[1] for line in after.partition("\n\nAdapters")[0].splitlines() if line.startswith("| `")]
    told = {port for row in rows for port in re.findall(r"`(\w+)`", row)}
    assert told == {path.parent.name for path in ROOT.glob("adapters/*/base.py")}
