"""How often each effect happened, by the systems' own word: git, DVC, MLflow, the folders of jobs, the message log."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from adapters.audit.sqlite import SqliteAudit
from domain.clock import SystemClock
from domain.receipt import RecordKind
from tests.durability.wiring import git

EPOCH = datetime.fromtimestamp(0, UTC)
KEY = "%(trailers:key=Evercrew-Key,valueonly,separator=%x2C)"


def count(folder: Path) -> Mapping[str, int]:
    """Return the number of effects of each kind; one that carries a key twice counts twice."""
    tagged = "SELECT count(*) FROM {} WHERE key = 'evercrew.key' AND value NOT IN ('good', 'bad')"
    ours = "key LIKE 'evercrew.alias.%' AND key NOT LIKE '%good' AND key NOT LIKE '%bad'"
    aliases = f"SELECT count(*) FROM model_version_tags WHERE {ours}"
    cards = "SELECT count(*) FROM model_version_tags WHERE key LIKE 'evercrew.card.%'"
    return {
        "commits": _commits(folder / "values.git"),
        "dataset commits": _commits(folder / "datasets" / ".git"),
        "pipelines": _commits(folder / "datasets" / ".git", "dvc.lock"),
        "cards": _rows(folder / "mlflow.db", cards),
        "trainings": sum(1 for p in (folder / "training").glob("*/result.json")),
        "runs": _rows(folder / "mlflow.db", tagged.format("tags")),
        "unfinished runs": _rows(folder / "mlflow.db", "SELECT count(*) FROM runs WHERE status != 'FINISHED'"),
        "versions": _rows(folder / "mlflow.db", tagged.format("model_version_tags")),
        "aliases": _rows(folder / "mlflow.db", aliases),
        "gold models": _rows(folder / "mlflow.db", "SELECT count(*) FROM model_version_tags WHERE key LIKE 'gold/%'"),
        "gold datasets": sum(1 for _ in (folder / "datasets" / ".git" / "refs" / "tags").glob("gold/*")),
        "baselines": _rows(folder / "store.db", "SELECT count(*) FROM recordings WHERE cycle_id = 'gold'"),
        "looks": _rows(folder / "evaluation" / "looks.sqlite", "SELECT count(*) FROM looks"),
        "evaluations": sum(1 for p in (folder / "evaluation").glob("*.json")),
        "messages": _lines(folder / "messages.jsonl"),
        "quarantines": _lines(folder / "quarantines.jsonl"),
    }


def chain(folder: Path) -> tuple[int, list[str]]:
    """Return the length of the audit chain once it verified, and the tools whose effects have an outcome, in order.

    Raises:
        AssertionError: an intent is open, a key has two outcomes, or a step ended twice.
    """
    audit = SqliteAudit(folder / "audit.db", SystemClock())
    length = audit.verify()
    assert audit.open_intents() == []
    moves = [r.entry.body["step"] for r in audit.records() if r.entry.kind is RecordKind.TRANSITION]
    assert len(set(moves)) == len(moves), moves
    done = [r.entry for r in audit.records() if r.entry.kind is RecordKind.OUTCOME and r.entry.status == "done"]
    assert len({entry.key for entry in done}) == len(done)
    audit.close()
    return length, [entry.tool for entry in done]


def _commits(repository: Path, *paths: str) -> int:
    if not repository.exists():
        return 0
    log = git("--git-dir", str(repository), "log", "main", f"--format={KEY}", "--", *paths, at=EPOCH)
    return sum(1 for line in log.splitlines() if line.strip())


def _rows(database: Path, question: str) -> int:
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(question).fetchone()[0])


def _lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0
