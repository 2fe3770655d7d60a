"""Reading a line of a log: JSON objects under the names programs use, or text by a pattern."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.logs.base import LogLine, level_of
from domain.errors import ConfigurationError

TIMES = ("ts", "timestamp", "@timestamp", "time", "datetime")
LEVEL_NAMES = ("level", "severity", "levelname", "log.level", "lvl")
EVENTS = ("event", "message", "msg", "log")
# 2026-01-31 12:00:00,123 ERROR [name] text; the level may be missing.
PATTERN = (
    r"^\[?(?P<ts>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)\]?\s+"
    r"(?:\[?(?P<level>TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|FATAL|CRIT(?:ICAL)?)\]?:?\s+)?(?P<event>.*)$"
)
LONGEST = 16_384


def pattern_of(text: str) -> re.Pattern[str]:
    """Return the compiled pattern of a plain-text log.

    Raises:
        ConfigurationError: it is no regular expression, or lacks a group.
    """
    try:
        pattern = re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise ConfigurationError("logs.pattern", f"is no regular expression: {error}", "Mend it") from error
    missing = {"ts", "event"} - set(pattern.groupindex)
    if missing:
        raise ConfigurationError(
            "logs.pattern", f"has no group {', '.join(sorted(missing))}", "Name the groups (?P<ts>...), (?P<event>...)"
        )
    return pattern


def of_json(raw: Mapping[str, Any], at: datetime | None = None) -> LogLine | None:
    """Return the line an object says; `at` is its time where the object has none. None without any time."""
    names = {name: next((n for n in known if n in raw), None) for name, known in _KNOWN.items()}
    ts = moment(raw[names["ts"]]) if names["ts"] else None
    when = at if ts is None else ts
    if when is None:
        return None
    rest = {name: value for name, value in raw.items() if name not in names.values()}
    return LogLine(
        ts=when,
        level=level_of(str(raw[names["level"]])) if names["level"] else "",
        event=str(raw[names["event"]])[:LONGEST] if names["event"] else "",
        fields=json.dumps(rest, sort_keys=True, ensure_ascii=False, default=str)[:LONGEST] if rest else "",
    )


_KNOWN = {"ts": TIMES, "level": LEVEL_NAMES, "event": EVENTS}


def of_text(text: str, at: datetime | None = None, pattern: re.Pattern[str] | None = None) -> LogLine | None:
    """Return the line a text says: JSON, or what the pattern finds, or with `at` the text itself."""
    cut = text[: 4 * LONGEST]
    raw = _object(cut)
    if raw is not None:
        return of_json(raw, at)
    match = pattern.match(cut) if pattern is not None else None
    if match is None:
        return LogLine(ts=at, level="", event=cut[:LONGEST]) if at is not None else None
    groups = match.groupdict()
    when = moment(groups["ts"]) or at
    if when is None:
        return None
    return LogLine(ts=when, level=level_of(groups.get("level") or ""), event=(groups["event"] or "")[:LONGEST])


def moment(value: Any) -> datetime | None:
    """Return a time: UNIX seconds, milliseconds or nanoseconds, or ISO 8601 (UTC without a zone). None if neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _unix(float(value))
    text = str(value).strip().replace(",", ".")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return _unix(float(text))
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _unix(value: float) -> datetime | None:
    if not math.isfinite(value):
        return None
    while abs(value) > 1e11:  # beyond the year 5000 in seconds: a finer unit
        value /= 1000
    return datetime.fromtimestamp(value, UTC)


def _object(text: str) -> Mapping[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        raw = json.loads(text)
    except ValueError:
        return None
    return raw if isinstance(raw, dict) else None
