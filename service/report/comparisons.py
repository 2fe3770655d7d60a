"""Pictures of two states side by side: before and after, baseline and candidate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from service.report.svg import BROAD, SLIM, Canvas, Scale, padded, ticks
from service.wording import clean, finite, percent

ROW = 27
MOST_ROWS = 14


@dataclass(frozen=True)
class Pair:
    """A thing with its value before and after, either of which may be missing, and a word about it."""

    name: str
    before: float | None
    after: float | None
    note: str = ""

    @property
    def both(self) -> bool:
        return self.before is not None and self.after is not None

    @property
    def change(self) -> float:
        return self.after - self.before if self.before is not None and self.after is not None else 0.0


def dumbbell(
    name: str,
    title: str,
    pairs: Sequence[Pair],
    said: Callable[[float | None], str],
    *,
    judged: bool,
    slim: bool = False,
) -> Markup | None:
    """Draw one row a pair, those with one side only first, then the largest change first; None without a value.

    Args:
        said: how a value is written.
        judged: whether more is better, so that a gain and a loss get colours of their own.
        slim: whether it is for a phone: names are cut, and the word about each pair is left out.
    """
    usable = [p for p in pairs if p.before is not None or p.after is not None]
    rows = sorted(usable, key=lambda p: (p.both, -abs(p.change)))[:MOST_ROWS]
    if not rows:
        return None
    values = [v for p in rows for v in (p.before, p.after) if v is not None]
    low, high = padded(values, 0.08)
    x = Scale(max(low, 0.0) if min(values) >= 0 else low, high, *((124, SLIM - 50) if slim else (216, BROAD - 150)))
    height = ROW * len(rows) + 40
    description = "; ".join(f"{p.name}: {said(p.before)} before, {said(p.after)} after" for p in rows)
    canvas = Canvas(f"{name}-slim" if slim else name, SLIM if slim else BROAD, height, title, description)
    for value in ticks(x.low, x.high, 3 if slim else 6):
        canvas.line(x(value), 6, x(value), height - 32, "grid")
        canvas.text(x(value), height - 14, said(value), "label muted", "middle")
    for row, pair in enumerate(rows):
        _row(canvas, x, pair, 20 + ROW * row, said, judged)
    return canvas.render()


def _row(canvas: Canvas, x: Scale, pair: Pair, y: float, said: Callable[[float | None], str], judged: bool) -> None:
    slim = canvas.width == SLIM
    canvas.text(x.start - 14, y + 4, clean(pair.name, 16 if slim else 30), "label", "end")
    style = "accent" if not (judged and pair.both) else "good" if pair.change >= 0 else "bad"
    if pair.before is not None and pair.after is not None:
        canvas.line(x(pair.before), y, x(pair.after), y, f"link link-{style}")
    if pair.before is not None:
        canvas.dot(x(pair.before), y, 5, "hollow", hint=f"before: {said(pair.before)}")
    if pair.after is not None:
        canvas.dot(x(pair.after), y, 6, f"fill-{style}", hint=f"after: {said(pair.after)}")
    amount = said(abs(pair.change))
    sign = "" if amount == said(0.0) else "+" if pair.change >= 0 else "\N{MINUS SIGN}"
    at = (canvas.width, "end") if slim else (x.end + 16, "start")
    if pair.both:
        canvas.text(at[0], y + 4, f"{sign}{amount}", f"label text-{style}", at[1])
    else:
        canvas.text(at[0], y + 4, "new" if pair.before is None else "not measured", "label muted", at[1])
    if not slim:
        canvas.text(canvas.width - 4, y + 4, clean(pair.note, 14), "label muted", "end")


def lift_chart(looks: Sequence[Mapping[str, Any]], margin: float | None, *, slim: bool = False) -> Markup | None:
    """Draw the relative lift with its interval at each look; None before any look had an interval.

    Early intervals are far wider than the last: the axis follows the last ones, and a bar that leaves the picture is
    cut there.
    """
    seen = [(k, finite(look["lift"]), finite(look["lower"]), finite(look["upper"])) for k, look in enumerate(looks)]
    known = [(k, m, lo, up) for k, m, lo, up in seen if m is not None and lo is not None and up is not None]
    if not known:
        return None
    y = _lift_axis(known, margin)
    x = Scale(-0.6, max(len(looks), 3) - 0.4, *((46, SLIM - 74) if slim else (62, BROAD - 96)))
    _, lift, lower, upper = known[-1]
    description = f"At look {len(looks)} the lift was {percent(lift)}, between {percent(lower)} and {percent(upper)}."
    name, width = ("ab-slim", SLIM) if slim else ("ab", BROAD)
    canvas = Canvas(name, width, 290, "Lift of the candidate with its interval, look by look", description)
    for value in ticks(y.low, y.high, 5):
        canvas.line(x.start, y(value), x.end, y(value), "grid")
        canvas.text(x.start - 8, y(value) + 4, percent(value, 0), "label muted", "end")
    canvas.line(x.start, y(0), x.end, y(0), "axis")
    canvas.text(x.end + 6, y(0) + 4, "no lift", "label muted")
    if margin is not None:
        canvas.line(x.start, y(margin), x.end, y(margin), "margin")
        near = abs(y(margin) - y(0)) < 13
        canvas.text(x.end + 6, y(margin) - (4 if near else -4), f"asked {percent(margin, 0)}", "label text-good")
    band = [(x(k), y.clamped(up)) for k, _, _, up in known] + [(x(k), y.clamped(lo)) for k, _, lo, _ in reversed(known)]
    canvas.path(band, "interval", closed=True)
    canvas.path([(x(k), y.clamped(m)) for k, m, _, _ in known], "curve")
    for k, m, lo, up in known:
        style = f"verdict-{looks[k]['verdict']}"
        canvas.line(x(k), y.clamped(lo), x(k), y.clamped(up), "whisker")
        canvas.dot(x(k), y.clamped(m), 5, style, hint=f"look {k + 1}: {percent(m)} [{percent(lo)}, {percent(up)}]")
    _users(canvas, x, looks)
    return canvas.render()


def _lift_axis(known: Sequence[tuple[int, float, float, float]], margin: float | None) -> Scale:
    tail = known[-max(3, 3 * len(known) // 4) :]
    reach = max(max(abs(v) for v in (known[-1][2], known[-1][3])) * 2.2, 0.05)
    values = [0.0, margin or 0.0, *(min(max(v, -reach), reach) for _, m, lo, up in tail for v in (m, lo, up))]
    return Scale(*padded(values, 0.1), 240, 14)


def _users(canvas: Canvas, x: Scale, looks: Sequence[Mapping[str, Any]]) -> None:
    every = math.ceil(len(looks) / (4 if canvas.width == SLIM else 12))
    for k, look in enumerate(looks):
        if (len(looks) - 1 - k) % every == 0:
            users = int(look["users_baseline"]) + int(look["users_candidate"])
            canvas.text(x(k), 258, str(users), "label muted", "middle")
    canvas.text((x.start + x.end) / 2, 280, "judged users in both arms at the look", "label muted", "middle")
