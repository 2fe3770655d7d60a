"""The picture of a signal: its course, the trouble shaded, and what happened to it marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from service.report.svg import BROAD, SLIM, Canvas, Scale, lanes, padded, ticks
from service.wording import clean, duration, finite, signal_label, signal_value

FULL = (BROAD, 300)
HALF = (450, 170)
PHONE = (SLIM, 230)
MOST_POINTS = 600
MOST_LANES = 4
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800)

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Trouble:
    """When the alert began and when it was answered, with the level before it where it is known."""

    begin: datetime
    end: datetime
    baseline: float | None = None


def signal_chart(
    name: str,
    series: Sequence[tuple[datetime, float | None]],
    events: Sequence[tuple[datetime, str]],
    trouble: Trouble,
    size: tuple[int, int] = FULL,
) -> Markup | None:
    """Draw a signal over time; None when it has fewer than two values."""
    points: list[Point] = [(at.timestamp(), finite(value)) for at, value in series]
    known = [(t, v) for t, v in points if v is not None]
    if len(known) < 2:
        return None
    width, height = size
    slim = size == PHONE
    marks = sorted((at.timestamp(), clean(text, 20 if slim else 40)) for at, text in events)
    x = Scale(
        points[0][0], max([points[-1][0], *(t for t, _ in marks)]), *((48, width - 60) if slim else (66, width - 66))
    )
    placed = lanes([(x.clamped(t), text) for t, text in marks], width - 6, MOST_LANES)
    used = 1 + max((lane for _, lane, _ in placed), default=-1)
    levels = [v for _, v in known] + ([] if trouble.baseline is None else [trouble.baseline])
    # A steady signal should look steady: the axis spans at least a tenth of the level.
    y = Scale(*padded(levels, least=max(0.1 * max(map(abs, levels)), 0.01)), height - 30, 14 + 15 * used)
    called = f"signal-{name}-slim" if slim else f"signal-{name}"
    canvas = Canvas(called, width, height, f"{signal_label(name)} over time", _said(name, known, marks))
    begin, end = x.clamped(trouble.begin.timestamp()), x.clamped(trouble.end.timestamp())
    canvas.rect(begin, y.end, end - begin, y.start - y.end, "trouble", hint="from the alert to the change")
    _frame(canvas, x, y, name)
    for (t, text), (at, lane, anchor) in zip(marks, placed, strict=True):
        canvas.line(x.clamped(t), 4 + 15 * lane, x.clamped(t), y.start, "mark")
        canvas.text(at, 12 + 15 * lane, text, "label", anchor)
    for run in _runs(_thinned(points)):
        canvas.path([(x(t), y(v)) for t, v in run], "curve")
    _levels(canvas, x, y, name, known[-1], trouble.baseline)
    return canvas.render()


def _said(name: str, known: Sequence[tuple[float, float]], marks: Sequence[tuple[float, str]]) -> str:
    first, last = known[0], known[-1]
    course = f"from {signal_value(name, first[1])} to {signal_value(name, last[1])}"
    happened = "; ".join(f"{text} at {_clock(t, 1)}" for t, text in marks)
    return f"{signal_label(name)} over {duration(last[0] - first[0])}: {course}. {happened}"


def _frame(canvas: Canvas, x: Scale, y: Scale, name: str) -> None:
    for value in ticks(y.low, y.high, 4):
        canvas.line(x.start, y(value), x.end, y(value), "grid")
        canvas.text(x.start - 8, y(value) + 4, signal_value(name, value), "label muted", "end")
    most = {BROAD: 8, SLIM: 3}.get(canvas.width, 4)
    step = next((s for s in _STEPS if (x.high - x.low) / s <= most), _STEPS[-1])
    for k in range(math.ceil(x.low / step), math.floor(x.high / step) + 1):
        canvas.line(x(k * step), y.start, x(k * step), y.start + 4, "axis")
        canvas.text(x(k * step), y.start + 18, _clock(k * step, step), "label muted", "middle")
    canvas.line(x.start, y.start, x.end, y.start, "axis")


def _levels(canvas: Canvas, x: Scale, y: Scale, name: str, last: tuple[float, float], baseline: float | None) -> None:
    """Name the last value and the baseline at the right edge, apart from one another."""
    shift = 4.0
    if baseline is not None:
        canvas.line(x.start, y(baseline), x.end, y(baseline), "reference")
        canvas.text(x.end + 8, y(baseline) + 4, "baseline", "label muted")
        apart = y(last[1]) - y(baseline)
        if abs(apart) < 14:
            shift += 14 - apart if apart >= 0 else -14 - apart
    canvas.dot(x(last[0]), y(last[1]), 4, "fill-accent")
    canvas.text(x.end + 8, y(last[1]) + shift, signal_value(name, last[1]), "label strong")


def _clock(timestamp: float, step: float) -> str:
    at = datetime.fromtimestamp(timestamp, UTC)
    return f"{at:%H:%M:%S}" if step < 60 else f"{at:%H:%M}" if step < 86400 else f"{at:%d %b}"


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most twice `MOST_POINTS` points: of each bucket the lowest and the highest, so that no dip is lost."""
    size = math.ceil(len(points) / MOST_POINTS)
    if size < 2:
        return list(points)
    kept: list[Point] = []
    for k in range(0, len(points), size):
        known = [(t, v) for t, v in points[k : k + size] if v is not None]
        extremes = {min(known, key=lambda p: p[1]), max(known, key=lambda p: p[1])} if known else set()
        kept.extend(sorted(extremes) or [(points[k][0], None)])
    return kept


def _runs(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """Return the stretches between gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for t, v in points:
        if v is None:
            runs.append([])
        else:
            runs[-1].append((t, v))
    return [run for run in runs if run]
