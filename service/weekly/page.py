"""Draws a weekly report: Markdown, and one HTML file in the look of a cycle's report, without scripts or requests."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from service import wording
from service.report.papers import template, templates_of
from service.weekly.report import Declined, Figure, WeeklyReport

NO_DATA = "no data"
_WHY = {
    "noise": "Chance",
    "monitor": "Watched",
    "policy": "Denied by policy",
    "people": "Denied by people",
    "budget": "Refused by the budget",
    "evidence": "Too little evidence",
    "gate": "A gate failed",
    "handed over": "Handed to people",
}
# Shown big, in this order.
TILES = ("success", "hours", "gain", "cost")


def as_markdown(report: WeeklyReport) -> str:
    """Return the report in Markdown."""
    text = _environment().get_template("weekly.md.j2").render(_shown(report))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def as_html(report: WeeklyReport) -> str:
    """Return the report as one HTML file."""
    return _environment().get_template("weekly.html.j2").render(_shown(report))


def value_of(figure: Figure, value: float | None) -> str:
    """Return a value in the unit of its figure."""
    if value is None:
        return NO_DATA
    match figure.unit:
        case "count":
            return f"{value:,.0f}"
        case "share":
            return f"{100 * value:.1f} %"
        case "hours":
            return f"{value:.1f} h" if value >= 1 else f"{60 * value:.1f} min"
        case "usd":
            return wording.dollars(value)
        case "relative":
            return wording.percent(value)
        case _:
            return f"{value:.3f}"


def interval_of(figure: Figure) -> str:
    """Return its interval in words, or nothing where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    low = max(figure.low, 0.0) if figure.unit in ("hours", "usd") else figure.low
    return f"{value_of(figure, low)} to {value_of(figure, figure.high)}"


def change_of(figure: Figure) -> str:
    """Return how it stands to the stretch before, in words."""
    if figure.value is None or figure.previous is None:
        return ""
    if figure.unit in ("share", "relative"):
        points = 100 * (figure.value - figure.previous)
        return f"{points:+.1f} points".replace("-", "\N{MINUS SIGN}") if round(points, 1) else "as before"
    if figure.previous == 0:
        return "none before" if figure.value else "as before"
    moved = wording.percent(figure.value / figure.previous - 1)
    return "as before" if moved == "0 %" else moved


def account_of(name: str) -> str:
    """Return an account of the ledger in words: whose it is, and since when."""
    kind, _, rest = name.partition("/")
    match kind:
        case "day":
            return f"on {rest.rpartition('/')[2]}, everything in {rest.partition('/')[0]}"
        case "period" if rest.count("/") == 2:
            target, environment, since = rest.split("/")
            return f"{target} in {environment}, in the period from {since.replace('T', ' ')}"
        case _:
            return name


def _shown(report: WeeklyReport) -> dict[str, Any]:
    return {
        "report": report,
        "tiles": [report.figure(name) for name in TILES],
        "notes": {figure.name: number for number, figure in enumerate(report.figures, start=1)},
        "declined": _grouped(report),
        "empty": not report.cycles and not report.actions,
        "style": Markup(template("service.report", "report.css")),
    }


def _grouped(report: WeeklyReport) -> list[tuple[str, list[Declined]]]:
    found = [(heading, [d for d in report.declined if d.why == why]) for why, heading in _WHY.items()]
    return [(heading, rows) for heading, rows in found if rows]


@cache
def _environment() -> Environment:
    environment = templates_of("service.weekly")
    environment.filters |= {
        "account": account_of,
        "change": change_of,
        "clean": wording.clean,
        "dollars": wording.dollars,
        "interval": interval_of,
        "percent": wording.percent,
        "signal": wording.signal_label,
        "words": wording.words,
    }
    environment.globals |= {"value_of": value_of, "signal_value": wording.signal_value, "no_data": NO_DATA}
    return environment
