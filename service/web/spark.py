"""A signal's course in the size of a word, with its baseline and its limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from service.report.svg import Scale, padded
from service.wording import clean, finite

WIDTH, HEIGHT, EDGE = 200, 40, 3


def sparkline(
    title: str,
    series: Sequence[tuple[datetime, float | None]],
    *,
    baseline: float | None = None,
    limit: float | None = None,
) -> Markup | None:
    """Draw a course; None with fewer than two values. A level far away from it is left out rather than flatten it."""
    points = [(at.timestamp(), finite(value)) for at, value in series]
    known = [value for _, value in points if value is not None]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    reach = max(high - low, 0.08 * max(abs(high), abs(low), 1e-9))
    levels = [
        (value, style)
        for value, style in ((finite(baseline), "reference"), (finite(limit), "limit"))
        if value is not None and low - reach <= value <= high + reach
    ]
    x = Scale(points[0][0], points[-1][0], 0, WIDTH)
    span = padded([*known, *(value for value, _ in levels)], 0.06, least=reach * 0.5)
    y = Scale(*span, HEIGHT - EDGE, EDGE)
    parts = [
        Markup('<line class="{}" x1="0" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(style, WIDTH, y(value), y(value))
        for value, style in levels
    ]
    for run in _runs(points):
        steps = "L".join(f"{x(at):.1f},{y(value):.1f}" for at, value in run)
        first, last = x(run[0][0]), x(run[-1][0])
        parts.append(
            Markup('<path class="area" d="M{:.1f},{}L{}L{:.1f},{}Z"/>').format(first, HEIGHT, steps, last, HEIGHT)
        )
        parts.append(Markup('<path class="curve" d="M{}"/>').format(steps))
    head = Markup(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
    ).format(WIDTH, HEIGHT, clean(title, 300))
    return head + Markup("").join(parts) + Markup("</svg>")


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Return the stretches between gaps that are long enough to be drawn."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((at, value))
    return [run for run in runs if len(run) > 1]
