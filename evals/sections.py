"""What a measurement of the machinery came to: sections of rows, for people and for machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.table import Table

from domain.clock import Clock

Cell = str | float | int | None


@dataclass(frozen=True)
class Section:
    """A table: its title, its rows (all with the same keys), and what has to be known to read it."""

    name: str
    title: str
    rows: Sequence[Mapping[str, Cell]]
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"title": self.title, "rows": [dict(row) for row in self.rows], "note": self.note}

    def table(self) -> Table:
        """Return it for a terminal."""
        table = Table(title=self.title, title_justify="left", caption=self.note or None, caption_justify="left")
        for number, name in enumerate(self.rows[0] if self.rows else ()):
            table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
        for row in self.rows:
            table.add_row(*map(said, row.values()))
        return table


def said(value: Cell) -> str:
    """A cell in words: three significant digits, and a dash for what was not measured."""
    match value:
        case None:
            return "-"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        case _:
            return str(value)


def quantile(values: Sequence[float], q: float) -> float:
    """Linear interpolation between order statistics (Hyndman and Fan 1996, type 7).

    Raises:
        ValueError: there are no values, or `q` is not in [0, 1].
    """
    if not values or not 0 <= q <= 1:
        raise ValueError(f"{len(values)} values, q={q}: at least one value and q in [0, 1] are needed")
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def timed(clock: Clock, call: Callable[[], object]) -> float:
    """Seconds a call takes."""
    started = clock.monotonic()
    call()
    return clock.monotonic() - started


def middle(clock: Clock, call: Callable[[], object], times: int) -> float:
    """The median seconds of some calls."""
    return median(timed(clock, call) for _ in range(times))
