"""Samples in an SQLite file: what a process scraped is there for the next one.

Not-a-number is kept as NULL (SQLite has no other way); `ended` marks the end of a series.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from adapters.metrics.evaluate import Series, matches

Sample = tuple[str, Mapping[str, str], float]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, metric TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE (metric, labels)
);
CREATE TABLE IF NOT EXISTS samples (
    series INTEGER NOT NULL REFERENCES series, at INTEGER NOT NULL, value REAL, ended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (series, at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scrapes (at INTEGER PRIMARY KEY);
"""


class SampleStore:
    """One connection behind a lock; several processes may share the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, timeout=30.0, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._ids: dict[tuple[str, str], int] = {}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def last_scrape(self) -> int | None:
        """Return the time of the youngest scrape."""
        with self._lock:
            row = self._db.execute("SELECT max(at) FROM scrapes").fetchone()
        return None if row[0] is None else int(row[0])

    def append(self, at: int, samples: Iterable[Sample], *, ends: bool = True) -> None:
        """Add one scrape in one transaction; series of the scrape before that are not in it end here."""
        with self._lock, self._db:  # commits at the end, rolls back when an error leaves it
            self._db.execute("BEGIN IMMEDIATE")
            self._append(at, samples, ends)

    def forget(self, before: int) -> None:
        """Delete samples older than a time."""
        with self._lock:
            self._db.execute("DELETE FROM samples WHERE at < ?", (before,))
            self._db.execute("DELETE FROM scrapes WHERE at < ?", (before,))

    def series(self, metric: str, labels: Mapping[str, str], start: int, end: int) -> list[Series]:
        """Return the matching series with their samples in [start, end]; series without any are left out."""
        found = []
        with self._lock:
            rows = self._db.execute("SELECT id, labels FROM series WHERE metric = ?", (metric,)).fetchall()
            for number, text in rows:
                own = json.loads(text)
                if matches(own, labels):
                    found.append(self._filled(number, own, start, end))
        return [one for one in found if one.times]

    def _filled(self, number: int, labels: Mapping[str, str], start: int, end: int) -> Series:
        rows = self._db.execute(
            "SELECT at, value, ended FROM samples WHERE series = ? AND at BETWEEN ? AND ? ORDER BY at",
            (number, start, end),
        ).fetchall()
        values = [None if ended else (math.nan if value is None else value) for _, value, ended in rows]
        return Series(labels, [row[0] for row in rows], values)

    def _append(self, at: int, samples: Iterable[Sample], ends: bool) -> None:
        before = self._db.execute("SELECT max(at) FROM scrapes WHERE at < ?", (at,)).fetchone()[0]
        rows = {self._number(metric, labels): (None if math.isnan(v) else v) for metric, labels, v in samples}
        self._db.executemany(
            "INSERT OR REPLACE INTO samples (series, at, value) VALUES (?, ?, ?)",
            [(number, at, value) for number, value in rows.items()],
        )
        if ends and before is not None:
            earlier = self._db.execute("SELECT series FROM samples WHERE at = ? AND NOT ended", (before,)).fetchall()
            over = [(number, at) for (number,) in earlier if number not in rows]
            self._db.executemany("INSERT OR REPLACE INTO samples (series, at, ended) VALUES (?, ?, 1)", over)
        self._db.execute("INSERT OR IGNORE INTO scrapes (at) VALUES (?)", (at,))

    def _number(self, metric: str, labels: Mapping[str, str]) -> int:
        key = (metric, json.dumps(dict(labels), sort_keys=True, ensure_ascii=False))
        if key not in self._ids:
            self._db.execute("INSERT OR IGNORE INTO series (metric, labels) VALUES (?, ?)", key)
            row = self._db.execute("SELECT id FROM series WHERE metric = ? AND labels = ?", key).fetchone()
            self._ids[key] = int(row[0])
        return self._ids[key]
