"""How often the held-out set was looked at: one line a key, in an SQLite file that several processes may share."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from domain.errors import DependencyUnavailable


class Looks:
    """A look is counted before it is taken: one that was killed half-way has been one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, key: str) -> int:
        """Count the look of this key, once, and return how many there have been up to it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=30.0, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous=FULL")
                db.execute("CREATE TABLE IF NOT EXISTS looks (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE)")
                db.execute("INSERT OR IGNORE INTO looks (key) VALUES (?)", (key,))
                row = db.execute("SELECT number FROM looks WHERE key = ?", (key,)).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise DependencyUnavailable("evaluation", "the count of looks cannot be written") from error
        return int(row[0])
