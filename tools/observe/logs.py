"""`log_search`: the platform's own log lines. What they say is untrusted."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from adapters.platform.base import PlatformPort
from domain.untrusted import Untrusted
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class LogArgs(Arguments):
    """A plain substring, a level (empty: any), and how many minutes before the alert to start."""

    contains: str = Field(default="", max_length=200)
    level: str = Field(default="", pattern=r"^(|debug|info|warning|error|critical)$")
    minutes: float = Field(default=10, gt=0, le=1440)
    limit: int = Field(default=50, ge=1, le=200)


class LogResult(Result):
    """Matching lines, oldest first, as one untrusted text, and how often each event occurs in them."""

    lines: Untrusted
    events: dict[str, int]
    matched: int


class LogSearch(Tool[LogArgs, LogResult]):
    """Searches the platform's logs."""

    spec = ToolSpec("log_search", "Search the platform's log lines around the alert by substring and level.")
    input = LogArgs
    output = LogResult

    def __init__(self, platform: PlatformPort) -> None:
        self._platform = platform

    def run(self, args: LogArgs, call: Call) -> LogResult:
        since = call.scope.alert_at - timedelta(minutes=args.minutes)
        lines = self._platform.logs(since, args.contains, args.level, args.limit)
        events: dict[str, int] = {}
        for line in lines:
            events[line.event] = events.get(line.event, 0) + 1
        text = "\n".join(f"{line.ts.isoformat()} {line.level} {line.event} {line.fields}" for line in lines)
        return LogResult(lines=Untrusted(text=text, source="platform log"), events=events, matched=len(lines))
