"""Log lines in memory, for tests and embedding."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from adapters.logs.base import Found, LogLine, checked, matches, newest


class MemoryLogs:
    """`LogsPort` over a list, which may be appended to."""

    def __init__(self, lines: Sequence[LogLine] = ()) -> None:
        self.lines = list(lines)

    def search(
        self, since: datetime, until: datetime | None = None, contains: str = "", level: str = "", limit: int = 200
    ) -> Found:
        """See `LogsPort.search`."""
        checked(since, until, level, limit)
        found = [line for line in self.lines if matches(line, since, until, contains, level)]
        return newest(found, limit, complete=True)

    def check(self) -> str:
        """See `LogsPort.check`."""
        return f"memory: {len(self.lines)} lines"
