"""Pictures of the cycle: the looks of a watch, and when each stage ran."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from service.report.svg import BROAD, SLIM, Canvas, Scale, padded, ticks
from service.wording import clean, duration, finite, signal_label, signal_value, stage_label


@dataclass(frozen=True)
class Segment:
    """A stretch of time a stage took."""

    stage: str
    begin: datetime
    end: datetime


def watch_chart(
    name: str,
    baseline: Sequence[float | None],
    looks: Sequence[tuple[float | None, str]],
    healthy: float | None,
    *,
    slim: bool = False,
) -> Markup | None:
    """Draw the points before the change and the looks after it; None without a look that has a value.

    Args:
        healthy: the level a repair has to come back to; without it the mean of the points before is drawn.
        slim: whether it is for a phone.
    """
    before = [finite(v) for v in baseline]
    after = [(finite(v), verdict) for v, verdict in looks]
    known = [v for v in [*before, *(v for v, _ in after)] if v is not None]
    if not any(v is not None for v, _ in after):
        return None
    usual = [v for v in before if v is not None]
    level = finite(healthy) if healthy is not None or not usual else sum(usual) / len(usual)
    count = len(before) + len(after)
    x = Scale(-0.5, count - 0.5, *((48, SLIM - 50) if slim else (62, BROAD - 66)))
    levels = [*known, *([level] if level is not None else [])]
    y = Scale(*padded(levels, 0.25, 0.1 * max(map(abs, levels))), 196, 30)
    said = [f"look {k}: {signal_value(name, v)} ({verdict})" for k, (v, verdict) in enumerate(after, 1)]
    title = f"{signal_label(name)} at each look after the change"
    description = f"Level {_level(healthy)}: {signal_value(name, level)}. " + "; ".join(said)
    canvas = Canvas("watch-slim" if slim else "watch", SLIM if slim else BROAD, 226, title, description)
    for value in ticks(y.low, y.high, 4):
        canvas.line(x.start, y(value), x.end, y(value), "grid")
        canvas.text(x.start - 8, y(value) + 4, signal_value(name, value), "label muted", "end")
    if level is not None:
        canvas.line(x.start, y(level), x.end, y(level), "reference")
        canvas.text(x.end + 6, y(level) + 4, _level(healthy), "label muted")
    change = x(len(before) - 0.5)
    canvas.line(change, 16, change, 196, "mark")
    late = change > canvas.width / 2
    canvas.text(change - 5 if late else change + 5, 20, "the change is live", "label", "end" if late else "start")
    for k, earlier in enumerate(before):
        if earlier is not None:
            canvas.dot(x(k), y(earlier), 5, "hollow", hint=f"before: {signal_value(name, earlier)}")
    every = math.ceil(len(after) / (4 if slim else 16))
    for k, (seen, verdict) in enumerate(after):
        at = x(len(before) + k)
        if k % every == 0:
            canvas.text(
                at, 216, f"look {k + 1}" if len(after) < 9 and not slim else str(k + 1), "label muted", "middle"
            )
        if seen is not None:
            hint = f"look {k + 1}: {signal_value(name, seen)}, {verdict}"
            canvas.dot(at, y(seen), 6, f"verdict-{verdict}", hint=hint)
    return canvas.render()


def stage_chart(
    segments: Sequence[Segment], effects: Sequence[tuple[datetime, str]], opened_at: datetime, *, slim: bool = False
) -> Markup | None:
    """Draw when each stage ran, with the moments of effects; None without a segment. A slim one is for a phone."""
    if not segments:
        return None
    names = list(dict.fromkeys(s.stage for s in segments))
    begin = min(opened_at, *(s.begin for s in segments)).timestamp()
    end = max(s.end for s in segments).timestamp()
    x = Scale(begin, max(end, begin + 0.1), *((66, SLIM - 76) if slim else (110, BROAD - 90)))
    height = 26 * len(names) + 44
    totals = {n: sum((s.end - s.begin for s in segments if s.stage == n), timedelta()) for n in names}
    said = "; ".join(f"{stage_label(n)} {duration(totals[n])}" for n in names)
    called, width = ("stages-slim", SLIM) if slim else ("stages", BROAD)
    canvas = Canvas(called, width, height, "The stages of the cycle over time", said)
    for second in ticks(0, x.high - x.low, 3 if slim else 7):
        at = x(begin + second)
        canvas.line(at, 8, at, height - 30, "grid")
        canvas.text(at, height - 12, _tick(second), "label muted", "middle")
    for row, name in enumerate(names):
        top = 10 + 26 * row
        canvas.text(x.start - 10, top + 14, stage_label(name), "label", "end")
        mine = [s for s in segments if s.stage == name]
        for s in mine:
            left, right = x(s.begin.timestamp()), x(s.end.timestamp())
            canvas.rect(
                left, top + 2, right - left, 16, "bar", hint=f"{stage_label(name)}: {duration(s.end - s.begin)}"
            )
        final = x(max(s.end for s in mine).timestamp())
        canvas.text(final + 10, top + 14, duration(totals[name]), "label muted")
        for when, what in effects:
            if any(s.begin < when <= s.end for s in mine):
                canvas.dot(x(when.timestamp()), top + 10, 4, "effect", hint=f"{clean(what, 60)} at {when:%H:%M:%S}")
    return canvas.render()


def _level(healthy: float | None) -> str:
    return "before" if healthy is None else "healthy"


def _tick(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else duration(seconds)
