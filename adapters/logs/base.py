"""The logs port: lines of the platform's log by time, text and level.

Contract: texts are what programs and users wrote: untrusted. Every search is bounded in time by `since`, in size by
`limit`, and by the vendor's own limits on pages or bytes; `complete` says whether one of these cut it short.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from domain.errors import InvalidInput

LEVELS = ("debug", "info", "warning", "error", "critical")
MOST_LINES = 5000
_OTHER_NAMES: Mapping[str, str] = {
    "trace": "debug",
    "fine": "debug",
    "information": "info",
    "notice": "info",
    "warn": "warning",
    "err": "error",
    "severe": "error",
    "fatal": "critical",
    "crit": "critical",
    "emerg": "critical",
    "alert": "critical",
    "panic": "critical",
}


class LogLine(BaseModel):
    """One structured log line; `fields` is JSON, or text as it was written."""

    model_config = ConfigDict(frozen=True)

    ts: datetime
    level: str
    event: str
    fields: str = ""


class Found(BaseModel):
    """Matching lines, oldest first; not `complete` when older ones may match too."""

    model_config = ConfigDict(frozen=True)

    lines: tuple[LogLine, ...] = ()
    complete: bool = True


class LogsPort(Protocol):
    """Where log lines are."""

    def search(
        self,
        since: datetime,
        until: datetime | None = None,
        contains: str = "",
        level: str = "",
        limit: int = 200,
    ) -> Found:
        """Return the newest `limit` lines of [since, until) that match, oldest first.

        Args:
            contains: words that stand in the line as they are, whatever their case; parts of words are found where
                the vendor searches text and not words.
            level: one of LEVELS, or empty for any.

        Raises:
            InvalidInput: the span, the level or the limit is not usable.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise an error that names the remedy."""
        ...


def checked(since: datetime, until: datetime | None, level: str, limit: int) -> None:
    """Return when a search can be made.

    Raises:
        InvalidInput: names the argument.
    """
    if until is not None and until <= since:
        raise InvalidInput("until", f"{until.isoformat()} is not after since", "Give a later time")
    if level and level not in LEVELS:
        raise InvalidInput("level", f"{level!r} is not a level", f"Use one of: {', '.join(LEVELS)}")
    if not 1 <= limit <= MOST_LINES:
        raise InvalidInput("limit", f"{limit} is not a number of lines", f"Ask for 1 to {MOST_LINES}")


def level_of(word: str) -> str:
    """Return the name of a level as LEVELS has it, whatever a program calls it."""
    plain = word.strip().lower()
    return _OTHER_NAMES.get(plain, plain)


def words_for(level: str) -> list[str]:
    """Return everything a program may call this level, in lower and upper case."""
    words = [level, *(other for other, name in _OTHER_NAMES.items() if name == level)]
    return [*words, *(word.upper() for word in words)]


def newest(lines: list[LogLine], limit: int, *, complete: bool) -> Found:
    """Return the newest `limit` of the lines, oldest first."""
    ordered = sorted(lines, key=lambda line: line.ts)
    return Found(lines=tuple(ordered[-limit:]), complete=complete and len(ordered) <= limit)


def matches(line: LogLine, since: datetime, until: datetime | None, contains: str, level: str) -> bool:
    """Return whether a line is one that is searched for."""
    return (
        line.ts >= since
        and (until is None or line.ts < until)
        and level in ("", line.level)
        and contains.lower() in f"{line.level} {line.event} {line.fields}".lower()
    )
