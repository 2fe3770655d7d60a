"""Structured log of the service: one JSON object a line with `ts`, `level`, `event` and the event's fields."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from testbed import clock

Level = Literal["info", "warning", "error"]


class JsonLog:
    """Appends events to a file; safe to call from several threads of one process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")
        self._last: dict[str, float] = {}

    def write(self, level: Level, event: str, **fields: Any) -> None:
        """Append one event and flush it."""
        line = json.dumps({"ts": round(clock.timestamp(), 3), "level": level, "event": event, **fields}, default=str)
        with self._lock:
            if self._file.closed:
                return
            self._file.write(line + "\n")
            self._file.flush()

    def write_at_most(self, every: float, level: Level, event: str, **fields: Any) -> None:
        """Like `write`, but at most once in `every` seconds for one event name."""
        now = clock.timestamp()
        if now - self._last.get(event, -every) >= every:
            self._last[event] = now
            self.write(level, event, **fields)

    def close(self) -> None:
        """Close the file; later events are dropped."""
        with self._lock:
            self._file.close()


def read_log(
    path: Path, *, since: float = 0.0, contains: str = "", level: str | None = None, limit: int = 500
) -> list[dict[str, Any]]:
    """The last `limit` events at or after `since` (UNIX seconds) whose line contains the text, oldest first."""
    found = [event for event in _events(path, contains) if event["ts"] >= since and level in (None, event["level"])]
    return found[-limit:] if limit > 0 else []


def _events(path: Path, contains: str) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    wanted = contains.lower()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n") and wanted in line.lower():
                yield json.loads(line)
