"""Reading a folder of hostile and benign texts, whatever their files and fields are called.

A file is JSON Lines (also gzipped) or JSON with a list of objects. A text is hostile or benign by the object's label
where it has one, else by the names of its fields, else by the name of its file.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.errors import ConfigurationError

LONGEST = 20_000
_LABELS = ("label", "is_injection", "injection", "is_attack", "malicious", "jailbreak", "class", "type")
_HOSTILE_VALUES = frozenset(
    {"1", "true", "injection", "injected", "jailbreak", "malicious", "attack", "harmful", "unsafe"}
)
_BENIGN_VALUES = frozenset({"0", "false", "benign", "safe", "legit", "legitimate", "clean", "normal", "harmless"})
_HOSTILE_FIELD = re.compile(r"attack|inject|jailbreak|malicious|payload|adversar")
_HOSTILE_FILE = re.compile(r"attack|inject|jailbreak|malicious|adversar|hostile")
_BENIGN_FILE = re.compile(r"clean|benign|normal|safe|notinject|tasks|legit")
# Where the text stands: the first of these that some field's name contains.
_HOSTILE_TEXT = (
    "instruction",
    "payload",
    "injection",
    "injected",
    "attack",
    "prompt",
    "text",
    "content",
    "query",
    "goal",
)
_BENIGN_TEXT = (
    "text",
    "prompt",
    "context",
    "content",
    "tasks",
    "query",
    "question",
    "sentence",
    "description",
    "message",
)
_TOOL = re.compile(r"tool")


@dataclass(frozen=True)
class Case:
    """One text; `tool` is the name of a tool that the object names, or empty. `kind` is what it is a sample of."""

    text: str
    hostile: bool
    kind: str
    tool: str = ""


@dataclass(frozen=True)
class Cases:
    """The texts of a folder, and what of it could not be used."""

    hostile: tuple[Case, ...]
    benign: tuple[Case, ...]
    unused: tuple[str, ...]


def load(folder: Path) -> Cases:
    """Read every file below the folder.

    Raises:
        ConfigurationError: there is no such folder, or no hostile text in it.
    """
    if not folder.is_dir():
        raise ConfigurationError("--data", f"{folder} is no folder", "Name a folder with *.jsonl files")
    found: dict[tuple[str, bool], Case] = {}
    unused: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        rows = list(_rows(path))
        cases = [case for row in rows for case in cases_of(row, path.name)]
        if not cases:
            unused.append(f"{path.name}: {'no object has a text' if rows else 'no JSON objects'}")
        for case in cases:
            found.setdefault((case.text, case.hostile), case)
    hostile = tuple(case for case in found.values() if case.hostile)
    if not hostile:
        told = "; ".join(unused[:5]) or "it is empty"
        raise ConfigurationError(
            "--data",
            f"{folder} holds no hostile text ({told})",
            "Give JSON Lines of objects with a text and a label (1: hostile), or fields named attack or injection",
        )
    return Cases(hostile, tuple(case for case in found.values() if not case.hostile), tuple(unused))


def cases_of(row: Mapping[str, Any], file: str) -> list[Case]:
    """Return the texts of one object."""
    fields = {re.sub(r"\W+", "_", str(name)).lower(): value for name, value in row.items()}
    hostile = _is_hostile(fields, file.lower())
    texts = _texts(fields, _HOSTILE_TEXT if hostile else _BENIGN_TEXT)
    kind = next((str(fields[name]) for name in ("category", "attack_type", "task", "kind") if fields.get(name)), "")
    tool = next((v for k, v in fields.items() if hostile and _TOOL.search(k) and isinstance(v, str)), "")
    return [Case(text[:LONGEST], hostile, f"{file}: {kind}".strip(": ")[:80], tool[:200]) for text in texts]


def _is_hostile(fields: Mapping[str, Any], file: str) -> bool:
    for name in _LABELS:
        value = str(fields.get(name, "")).strip().lower()
        if value in _HOSTILE_VALUES or value in _BENIGN_VALUES:
            return value in _HOSTILE_VALUES
    if any(_HOSTILE_FIELD.search(name) and isinstance(value, str) for name, value in fields.items()):
        return True
    return bool(_HOSTILE_FILE.search(file)) and not _BENIGN_FILE.search(file)


def _texts(fields: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    for part in wanted:
        for name, value in fields.items():
            if part in name and name not in ("attack_type", "type") and (found := _strings(name, value)):
                return found
    return []


def _strings(name: str, value: Any) -> list[str]:
    match value:
        case str() if value.strip():
            return [value]
        # Tasks are texts of their own; lines of one text belong together.
        case list() if value and all(isinstance(item, str) for item in value):
            return [item for item in value if item.strip()] if "task" in name else ["\n".join(value)]
        case _:
            return []


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError):
        return
    for value in _values(text):
        items = value if isinstance(value, list) else [value]
        yield from (item for item in items if isinstance(item, dict))


def _values(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text)
        return
    except json.JSONDecodeError:
        pass
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
