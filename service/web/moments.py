"""Times as a page says them: in UTC, short where the day is plain; the reader's own time is in the title."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

Style = Literal["full", "short", "clock", "day"]
_FORMATS = {"full": "%d %b %Y, %H:%M:%S", "short": "%d %b %H:%M", "clock": "%H:%M:%S", "day": "%d %b %Y"}


def iso(at: datetime) -> str:
    """Return a moment as a machine reads it, in UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: datetime, style: Style = "full") -> str:
    """Return a moment in UTC; `full` has the seconds, `short` day and minute, `clock` the time alone."""
    return at.astimezone(UTC).strftime(_FORMATS[style])


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago it was, or how soon it will be, in its largest unit."""
    seconds = (now - at).total_seconds()
    said = span(abs(seconds))
    return f"{said} ago" if seconds >= 0 else f"in {said}"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit, whole."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
