"""A small drawing surface: shapes in, accessible inline SVG out.

Pictures are drawn by hand rather than by a plotting library so that they take their colours from the page's style sheet
(light and dark) and cost a few kilobytes each. Coordinates are in CSS pixels, y grows downwards. Every text is escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.wording import clean

# Mean width of a character at the size of the labels, for keeping labels apart.
CHARACTER = 6.3
# Widths of pictures: of a page, and of a phone, where labels are shorter and marks fewer.
BROAD, SLIM = 920, 340


@dataclass(frozen=True)
class Scale:
    """Maps numbers of [low, high] to pixels of [start, end], linearly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    def clamped(self, value: float) -> float:
        """Return the pixel of the value, or of the nearer end of the range."""
        return self(min(max(value, self.low), self.high))


def padded(values: Sequence[float], share: float = 0.12, least: float = 1e-6) -> tuple[float, float]:
    """Return the range of the values with some air above and below, at least `least` wide; (0, 1) of none."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    air = max((high - low) * share, (least - (high - low)) / 2, 1e-9)
    return low - air, high + air


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers within the range, about `count` of them."""
    raw = (high - low) / max(count, 1)
    if not (math.isfinite(raw) and raw > 0):
        return [low]
    power = 10 ** math.floor(math.log10(raw))
    step = next((power * k for k in (1, 2, 2.5, 5, 10) if power * k >= raw), power * 10)
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


class Canvas:
    """One picture with a title and a description for people who hear it."""

    def __init__(self, name: str, width: int, height: int, title: str, description: str) -> None:
        self.width = width
        self.height = height
        self._name = re.sub(r"[^a-z0-9_-]+", "-", name.lower())
        self._title = title
        self._description = description
        self._parts: list[Markup] = []

    def rect(self, x: float, y: float, width: float, height: float, style: str, *, hint: str = "") -> None:
        """Draw a rectangle; one of no width is drawn a pixel wide."""
        shape = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="3">{}</rect>')
        self._parts.append(shape.format(style, x, y, max(width, 1.0), max(height, 0.0), _hint(hint)))

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a straight line."""
        shape = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
        self._parts.append(shape.format(style, x1, y1, x2, y2))

    def path(self, points: Sequence[tuple[float, float]], style: str, *, closed: bool = False) -> None:
        """Draw a line through points, or the area they enclose."""
        if len(points) < 2:
            return
        steps = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(Markup('<path class="{}" d="M{}{}"/>').format(style, steps, "Z" if closed else ""))

    def dot(self, x: float, y: float, radius: float, style: str, *, hint: str = "") -> None:
        """Draw a disc."""
        shape = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}">{}</circle>')
        self._parts.append(shape.format(style, x, y, radius, _hint(hint)))

    def text(self, x: float, y: float, text: object, style: str = "label", anchor: str = "start") -> None:
        """Write one line; `anchor` is ``start``, ``middle`` or ``end``."""
        shape = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
        self._parts.append(shape.format(style, x, y, anchor, clean(text, 200)))

    def render(self) -> Markup:
        """Return the picture."""
        head = Markup(
            '<svg viewBox="0 0 {w} {h}" role="img" aria-labelledby="{n}-t {n}-d" xmlns="http://www.w3.org/2000/svg">'
            '<title id="{n}-t">{t}</title><desc id="{n}-d">{d}</desc>'
        ).format(w=self.width, h=self.height, n=self._name, t=clean(self._title), d=clean(self._description, 1200))
        return head + Markup("").join(self._parts) + Markup("</svg>")


def _hint(text: str) -> Markup:
    return Markup("<title>{}</title>").format(clean(text)) if text else Markup("")


def lanes(labels: Sequence[tuple[float, str]], right: float, count: int) -> list[tuple[float, int, str]]:
    """Place labels of marks in lanes so that they do not touch.

    Args:
        labels: pixel of the mark and its text, by pixel.
        right: last pixel a label may reach; one that would go beyond hangs to the left of its mark.
        count: how many lanes there are; when all are taken the last one is used.

    Returns:
        For each label: x of the text's anchor, lane, anchor.
    """
    ends = [-math.inf] * count
    placed = []
    for x, text in labels:
        width = len(text) * CHARACTER + 10
        left = x + width > right
        begin = x - width if left else x
        lane = next((k for k in range(count) if ends[k] <= begin), count - 1)
        ends[lane] = x if left else x + width
        placed.append((x - 5 if left else x + 5, lane, "end" if left else "start"))
    return placed
