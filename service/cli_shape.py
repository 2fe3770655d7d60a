"""What commands share: how their help looks, and how a body is read that somebody gives."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from domain.errors import InvalidInput

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Begin": ("demo", "init", "doctor", "serve"),
    "Look": ("cycles", "traces", "report", "budget", "notify"),
    "Decide": ("approvals", "kill", "flags", "overrides", "autonomy", "policy", "rollback"),
    "Ask": ("chat", "mcp"),
    "Alerts": ("alerts", "inbox", "run"),
    "Prove": ("audit", "bench"),
    "Run": ("worker", "schedule", "backup", "users", "tokens", "api", "llm-studio-gateway"),
}
"""Every command, by what somebody wants who looks for it."""
Sender = Annotated[str, typer.Option("--from", help="alertmanager, grafana or generic (default: by its looks).")]
"""Whose webhook body it is that a command is given."""
# Longer than any first sentence: the formatter wraps it.
_WHOLE = 400


def text_of(path: Path, field: str) -> str:
    """Return the text of a file, or of stdin where the path is ``-``.

    Raises:
        InvalidInput: it cannot be read; it names the field.
    """
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidInput(field, f"cannot be read: {problem}", "Name a readable file of JSON") from problem


class Whole(TyperGroup):
    """A group whose help has the first sentence of each command, whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands."""
        self.write(ctx, formatter, "Commands", self.list_commands(ctx))

    def write(self, ctx: Any, formatter: Any, heading: str, names: Iterable[str]) -> None:
        """Write some commands below a heading."""
        found = [(name, self.get_command(ctx, name)) for name in names]
        rows = [(name, each.get_short_help_str(_WHOLE)) for name, each in found if each is not None and not each.hidden]
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


class Root(Whole):
    """The command itself: its commands stand in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, section by section."""
        for heading, names in SECTIONS.items():
            self.write(ctx, formatter, heading, names)
