"""Every effect in the systems, by the key it carries: git, DVC, MLflow, the folders of jobs, the message log."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.durability.counts import EPOCH, KEY
from tests.durability.wiring import git

_TAGGED = "SELECT value FROM {} WHERE key = 'evercrew.key' AND value NOT IN ('good', 'bad')"
_ALIASES = "SELECT key FROM model_version_tags WHERE key LIKE 'evercrew.alias.%'"
_PLACES = ("commits", "dataset commits", "runs", "versions", "aliases", "trainings", "looks", "messages", "quarantines")


def effects(folder: Path, values: str = "values.git") -> dict[str, Counter[str]]:
    """Return system -> key -> how often the system has it."""
    return {place: Counter(_keys(place, folder, values)) for place in _PLACES}


def keyless_commits(folder: Path, values: str = "values.git") -> int:
    """Return how many commits carry no key: those of the set-up, and whatever went around the door."""
    lines = _log(folder / values)
    return sum(1 for line in lines if not line)


def _keys(place: str, folder: Path, values: str) -> Iterator[str]:
    match place:
        case "commits":
            yield from filter(None, _log(folder / values))
        case "dataset commits":
            yield from filter(None, _log(folder / "datasets" / ".git"))
        case "runs":
            yield from _column(folder / "mlflow.db", _TAGGED.format("tags"))
        case "versions":
            yield from _column(folder / "mlflow.db", _TAGGED.format("model_version_tags"))
        case "aliases":
            found = (key.removeprefix("evercrew.alias.") for key in _column(folder / "mlflow.db", _ALIASES))
            yield from (key for key in found if not key.endswith(("good", "bad")))
        case "trainings":
            yield from (p.parent.name for p in (folder / "training").glob("*/result.json"))
        case "looks":
            yield from _column(folder / "evaluation" / "looks.sqlite", "SELECT key FROM looks")
        case "messages" | "quarantines":
            file = folder / f"{place}.jsonl"
            lines = file.read_text().splitlines() if file.exists() else []
            yield from (str(json.loads(line)["key"]) for line in lines if line)


def _log(repository: Path) -> list[str]:
    if not repository.exists():
        return []
    return [
        line.strip()
        for line in git("--git-dir", str(repository), "log", "main", f"--format={KEY}", at=EPOCH).splitlines()
    ]


def _column(database: Path, question: str) -> list[str]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        return [str(row[0]) for row in connection.execute(question)]
