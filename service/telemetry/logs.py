"""Log lines on stderr, for people on a terminal or as JSON for a machine: each with its cycle, request and trace.

What happens in a cycle is told as lines too (`EventLog`). Texts that are secrets are never in a line: the settings are
known by value, and whatever looks like a credential in an address or a header is hidden.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from domain.events import Event
from service.settings import Settings
from service.telemetry.counters import CountingHandler

CYCLE: ContextVar[str] = ContextVar("log_cycle", default="")
_HIDDEN = "[hidden]"
_LOOKS_SECRET = re.compile(
    r"(?i)(://[^/\s:@]+:)[^@\s/]+(@)"
    r"|(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(\b(?:password|passwd|secret|token|api[_-]?key)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]{4,}"
)
# What a record has by itself; everything else was given as `extra`.
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_SHORTEST = 6
_MOST_TEXT = 8000
# Of others: what they say below a warning is noise.
_CHATTY = ("uvicorn", "httpx", "httpcore", "asyncio", "dbos", "mlflow", "alembic", "git", "urllib3", "sqlalchemy")
_LEVELS: Mapping[str, int] = {"stage": logging.INFO, "approval": logging.INFO, "budget": logging.WARNING}


class Redactor:
    """Hides what must not be read in a log."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = sorted({text for text in secrets if len(text) >= _SHORTEST}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return _LOOKS_SECRET.sub(_masked, text)


class JsonLines(logging.Formatter):
    """One JSON object a line: ts, level, logger, message, and what is known of cycle, request and trace."""

    def __init__(self, hide: Redactor, context: Callable[[], Mapping[str, str]]) -> None:
        super().__init__()
        self._hide = hide
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_MOST_TEXT],
            **{name: value for name, value in self._context().items() if value},
            **{name: _plain(value) for name, value in record.__dict__.items() if name not in _OWN},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)[-_MOST_TEXT:]
        shown = {name: self._hide(value) if isinstance(value, str) else value for name, value in line.items()}
        return json.dumps(shown, ensure_ascii=True, default=str)


class TextLines(logging.Formatter):
    """For people: time, level, what, and the cycle."""

    def __init__(self, hide: Redactor, context: Callable[[], Mapping[str, str]]) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self._hide = hide
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or lines where there is an error to show."""
        cycle = getattr(record, "cycle_id", "") or self._context().get("cycle_id", "")
        return self._hide(f"{super().format(record)}{f'  [{cycle}]' if cycle else ''}")


def configure(settings: Settings, *, trace: Callable[[], str] = lambda: "", stream: TextIO | None = None) -> None:
    """Let all log lines of the process go to stderr in the form that the settings say.

    Args:
        trace: returns the trace that is open in this context, or nothing.
    """
    out = stream or sys.stderr
    hide, terminal = Redactor(secrets_of(settings)), out.isatty()
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not terminal)

    def context() -> Mapping[str, str]:
        return {"cycle_id": CYCLE.get(), "request_id": _request_id(), "trace_id": trace()}

    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines(hide, context) if as_json else TextLines(hide, context))
    root = logging.getLogger()
    root.handlers[:] = [handler, CountingHandler()]
    root.setLevel(settings.log_level.upper())
    for name in _CHATTY:
        chatty = logging.getLogger(name)
        chatty.handlers.clear()
        chatty.propagate = True
        chatty.setLevel(max(logging.WARNING, root.level))


def secrets_of(settings: Settings) -> list[str]:
    """Return the values of settings that are secrets: those that are not shown when settings are printed."""
    names = [name for name, info in Settings.model_fields.items() if info.repr is False or "api_key" in name]
    values = dict.fromkeys(str(getattr(each, name)) for each in settings.each() for name in names)
    return [value for value in values if value]


class EventLog:
    """Writes what happens in cycles as log lines; an `Observer`."""

    def __init__(self) -> None:
        self._log = logging.getLogger("evercrew.cycles")

    def __call__(self, event: Event) -> None:
        """Write a line; others that the thread writes until the end of the stage carry its cycle."""
        if event.kind == "stage":
            CYCLE.set(event.cycle_id if event.what == "begin" else "")
        level = _LEVELS.get(event.kind, logging.INFO if event.kind == "note" else logging.DEBUG)
        if not self._log.isEnabledFor(level):
            return
        said = " ".join(word for word in (event.who, event.what, event.answer) if word)
        extra = {"kind": event.kind, "cycle_id": event.cycle_id, "stage": event.stage}
        reason = event.details.get("reason")
        self._log.log(level, "%s", f"{said}: {reason}" if reason else said, extra=extra)


def _request_id() -> str:
    from service.api.edge import REQUEST_ID

    return REQUEST_ID.get()


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)[:_MOST_TEXT]


def _masked(found: re.Match[str]) -> str:
    before, after, scheme, named = found.groups()
    if before is not None:
        return f"{before}{_HIDDEN}{after}"
    return f"{scheme or named}{_HIDDEN}"
