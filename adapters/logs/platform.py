"""Log lines the platform serves itself."""

from __future__ import annotations

from datetime import datetime

from adapters.logs.base import MOST_LINES, Found, checked, level_of, newest
from adapters.platform.base import PlatformPort


class PlatformLogs:
    """`LogsPort` through the platform's own port.

    It searches from a time on and not up to one, so with `until` the newest lines are read and those after it left
    out: in a busy log the answer may then not be complete.
    """

    def __init__(self, platform: PlatformPort) -> None:
        self._platform = platform

    def search(
        self, since: datetime, until: datetime | None = None, contains: str = "", level: str = "", limit: int = 200
    ) -> Found:
        """See `LogsPort.search`."""
        checked(since, until, level, limit)
        asked = MOST_LINES if until is not None else limit + 1
        lines = self._platform.logs(since, contains, level, asked)
        kept = [line.model_copy(update={"level": level_of(line.level)}) for line in lines]
        if until is not None:
            kept = [line for line in kept if line.ts < until]
        return newest(kept, limit, complete=len(lines) < asked or len(kept) > limit)

    def check(self) -> str:
        """See `LogsPort.check`."""
        return f"logs: of the platform itself, {self._platform.check()}"
