"""Judgements on disk: SQLite (WAL) for those the data team may read, a sealed file for those it may not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from testbed.judged import RULES, Judgement, Quarantine, Rule, held_out

_SCHEMA = """
CREATE TABLE IF NOT EXISTS judgements (
    id INTEGER PRIMARY KEY, request_id TEXT NOT NULL, ts REAL NOT NULL, user_id TEXT NOT NULL, query TEXT NOT NULL,
    doc_id TEXT NOT NULL, grade INTEGER NOT NULL, clicked TEXT NOT NULL, shown TEXT NOT NULL, digest TEXT NOT NULL,
    variant TEXT NOT NULL, mode TEXT NOT NULL, subject TEXT NOT NULL, overlap REAL NOT NULL, quarantine TEXT
);
CREATE INDEX IF NOT EXISTS judgements_ts ON judgements (ts);
CREATE TABLE IF NOT EXISTS quarantines (
    key TEXT PRIMARY KEY, since REAL NOT NULL, until REAL, rule TEXT NOT NULL
);
"""
_COLUMNS = "request_id, ts, user_id, query, doc_id, grade, clicked, shown, digest, variant, mode, subject, overlap"
SEALED_FILE = "judgements.jsonl"


class FeedbackStore:
    """Writes are for one thread; `read` opens a connection of its own and may be called from any."""

    def __init__(self, database: Path, sealed: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        sealed.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = database
        self._sealed = sealed / SEALED_FILE
        self._db = sqlite3.connect(database, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def append(self, rows: Iterable[tuple[Judgement, str | None]]) -> None:
        """Add judgements, each with the key of the quarantine that holds it (or None), in one transaction."""
        public: list[tuple[Any, ...]] = []
        sealed: list[str] = []
        for row, quarantine in rows:
            if not held_out(row.query):
                lists = (json.dumps(row.clicked), json.dumps(row.shown))
                head = (row.request_id, row.ts, row.user_id, row.query, row.doc_id, row.grade)
                public.append((*head, *lists, row.digest, row.variant, row.mode, row.subject, row.overlap, quarantine))
            elif quarantine is None:
                sealed.append(json.dumps(row.public() | {"relevant": {row.doc_id: row.grade}}) + "\n")
        with self._db:
            marks = ",".join("?" * 14)
            self._db.executemany(f"INSERT INTO judgements ({_COLUMNS}, quarantine) VALUES ({marks})", public)
        if sealed:
            with self._sealed.open("a", encoding="utf-8") as file:
                file.writelines(sealed)

    def quarantines(self) -> list[Quarantine]:
        """All quarantines, oldest first."""
        rows = self._db.execute("SELECT key, since, until, rule FROM quarantines ORDER BY rowid").fetchall()
        return [Quarantine(key, since, until, _rule(rule)) for key, since, until, rule in rows]

    def quarantine(self, entry: Quarantine) -> None:
        """Record a quarantine and take the rows it drops out of use, here and in the sealed set."""
        with self._db:
            self._db.execute(
                "INSERT INTO quarantines (key, since, until, rule) VALUES (?, ?, ?, ?)",
                (entry.key, entry.since, entry.until, entry.rule),
            )
            dropped = [number for number, row in self._numbered(entry.since) if entry.drops(row)]
            self._db.executemany(
                "UPDATE judgements SET quarantine = ? WHERE id = ?", [(entry.key, number) for number in dropped]
            )
        self._thin_sealed(entry)

    def dropped(self, key: str) -> int:
        """How many readable judgements a quarantine holds."""
        row = self._db.execute("SELECT count(*) FROM judgements WHERE quarantine = ?", (key,)).fetchone()
        return int(row[0])

    def read(self, *, since: float = 0.0, until: float | None = None, limit: int | None = None) -> list[Judgement]:
        """Judgements in `[since, until)` that are not quarantined, oldest first; with `limit`, the latest ones."""
        where = "quarantine IS NULL AND ts >= ? AND (? IS NULL OR ts < ?)"
        query = f"SELECT {_COLUMNS} FROM judgements WHERE {where} ORDER BY ts DESC, id DESC LIMIT ?"
        connection = sqlite3.connect(self._database)
        try:
            rows = connection.execute(query, (since, until, until, -1 if limit is None else limit)).fetchall()
        finally:
            connection.close()
        return [_judgement(row) for row in reversed(rows)]

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _numbered(self, since: float) -> Iterator[tuple[int, Judgement]]:
        query = f"SELECT id, {_COLUMNS} FROM judgements WHERE quarantine IS NULL AND ts >= ?"
        for row in self._db.execute(query, (since,)).fetchall():
            yield row[0], _judgement(row[1:])

    def _thin_sealed(self, entry: Quarantine) -> None:
        if not self._sealed.exists():
            return
        kept = [row for row in read_sealed(self._sealed.parent) if not entry.drops(row)]
        fresh = self._sealed.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row.public() | {"relevant": {row.doc_id: row.grade}}) + "\n" for row in kept)
        fresh.replace(self._sealed)


def read_sealed(sealed: Path) -> list[Judgement]:
    """The held-out judgements, oldest first."""
    path = sealed / SEALED_FILE
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        return [_from_public(json.loads(line)) for line in lines]


def _from_public(raw: dict[str, Any]) -> Judgement:
    raw.pop("relevant")
    return Judgement(**raw | {"clicked": tuple(raw["clicked"]), "shown": tuple(raw["shown"])})


def _judgement(row: tuple[Any, ...]) -> Judgement:
    raw = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Judgement(**raw | {"clicked": tuple(json.loads(raw["clicked"])), "shown": tuple(json.loads(raw["shown"]))})


def _rule(rule: str) -> Rule:
    for known in RULES:
        if rule == known:
            return known
    raise ValueError(f"unknown quarantine rule {rule!r} in the feedback store; known: {', '.join(RULES)}")
