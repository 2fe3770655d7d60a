"""`log_search`: the platform's log lines, wherever they are. What they say is untrusted."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from adapters.logs.base import LogsPort
from domain.untrusted import Untrusted
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class LogArgs(Arguments):
    """Words as they stand in the line, a level (empty: any), and how many minutes before the alert to start."""

    contains: str = Field(default="", max_length=200)
    level: str = Field(default="", pattern=r"^(|debug|info|warning|error|critical)$")
    minutes: float = Field(default=10, gt=0, le=1440)
    limit: int = Field(default=50, ge=1, le=200)


class LogResult(Result):
    """Matching lines, oldest first, as one untrusted text, and how often each event occurs in them.

    Not `complete` when older lines may match too.
    """

    lines: Untrusted
    events: dict[str, int]
    matched: int
    complete: bool = True


class LogSearch(Tool[LogArgs, LogResult]):
    """Searches the platform's logs."""

    spec = ToolSpec("log_search", "Search the platform's log lines around the alert by words and level.")
    input = LogArgs
    output = LogResult

    def __init__(self, logs: LogsPort) -> None:
        self._logs = logs

    def run(self, args: LogArgs, call: Call) -> LogResult:
        since = call.scope.alert_at - timedelta(minutes=args.minutes)
        found = self._logs.search(since, contains=args.contains, level=args.level, limit=args.limit)
        events: dict[str, int] = {}
        for line in found.lines:
            events[line.event] = events.get(line.event, 0) + 1
        text = "\n".join(f"{line.ts.isoformat()} {line.level} {line.event} {line.fields}" for line in found.lines)
        return LogResult(
            lines=Untrusted(text=text, source="platform log"),
            events=events,
            matched=len(found.lines),
            complete=found.complete,
        )
