"""Tables of the evaluations, for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from evals.expectations import EXPECTED, Level, Rule, Run, actions, confusion, dangerous, lift, right

PIPE_WIDTH = 160


def console(*, to_stderr: bool = False) -> Console:
    """A console as wide as the terminal; in a pipe wide enough that no row is broken."""
    made = Console(stderr=to_stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=to_stderr, highlight=False, width=PIPE_WIDTH)


def line(run: Run) -> str:
    """One finished run in a line."""
    mark = "DANGEROUS" if dangerous(run) else ("right" if right(run) else "WRONG")
    change = lift(run)
    levels = " -> ".join(_level(run.levels.get(name)) for name in ("healthy", "degraded", "final"))
    lifted = f" ({change:+.1%})" if change is not None else ""
    rate = f", {run.rate:.0f} of {run.wanted_rate:.0f} sessions/s" if run.rate and run.wanted_rate else ""
    words = f"{run.fault:<16} seed {run.seed}  {run.seconds:5.1f} s  {mark:<9} {run.action:<9} {run.outcome:<12}"
    return f"{words} nDCG@10 {levels}{lifted}{rate}"


def confusion_table(runs: Sequence[Run]) -> Table:
    """Fault against action; what was expected is marked."""
    counts = confusion(runs)
    columns = [name for name in actions() if any(name in row for row in counts.values()) or _wanted(name, counts)]
    table = Table(title="fault (rows) against action (columns); [ ] is right", title_justify="left")
    table.add_column("fault", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for fault, row in counts.items():
        table.add_row(fault, *(_cell(row.get(name, 0), name in EXPECTED[fault]) for name in columns))
    return table


def bar_table(rules: Sequence[Rule]) -> Table:
    """The bar, and whether it holds."""
    table = Table(title="the bar", title_justify="left")
    for name in ("rule", "wanted", "found", "holds"):
        table.add_column(name)
    for rule in rules:
        table.add_row(rule.name, rule.wanted, rule.found, "yes" if rule.holds else "NO")
    return table


def _wanted(name: str, counts: dict[str, dict[str, int]]) -> bool:
    return any(name in EXPECTED[fault] for fault in counts)


def _cell(count: int, expected: bool) -> str:
    # The brackets are escaped: rich reads them as markup.
    return rf"\[{count or '·'}]" if expected else (str(count) if count else "·")


def _level(level: Level | None) -> str:
    return f"{level.value:.3f}" if level is not None else "-"
