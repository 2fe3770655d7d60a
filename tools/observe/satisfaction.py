"""`satisfaction_report`: are users unhappy with what is found, or with how it is shown?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from adapters.platform.base import JudgementRow, PlatformPort
from tools.observe.judged import sides
from tools.observe.reading import SignalReader
from tools.tool import Call, Nothing, Result, Tool, ToolSpec

MIN_ROWS = 50
# In standard errors, on either side.
Z_LIMIT = 3.0
# A smaller fall is within what users do on another day.
MIN_FALL = 0.05


class SatisfactionReport(Result):
    """What users did with what they were shown; shares are in [0, 1], None is what could not be measured.

    `shown` is the share of judged sessions whose document stood on the page: what search is good for. `clicked` is the
    share of those in which the user clicked it there: what the page is good for. `same_finds` says that what is found
    is what it was, `passed_over` that users pass over what they came for more often than before.
    """

    sessions_before: int
    sessions_after: int
    shown_before: float | None
    shown_after: float | None
    clicked_before: float | None
    clicked_after: float | None
    shown_z: float | None
    clicked_z: float | None
    same_finds: bool | None
    passed_over: bool | None


class SatisfactionCheck(Tool[Nothing, SatisfactionReport]):
    """Tells a page that misleads from a search that misses."""

    spec = ToolSpec(
        "satisfaction_report", "Report, before and after, how often users were shown what they wanted and clicked it."
    )
    input = Nothing
    output = SatisfactionReport

    def __init__(self, platform: PlatformPort, reader: SignalReader) -> None:
        self._platform = platform
        self._reader = reader

    def run(self, args: Nothing, call: Call) -> SatisfactionReport:
        seen = sides(self._platform, self._reader, call.scope.alert_at)
        return report(seen.before, seen.after)


def report(before: Sequence[JudgementRow], after: Sequence[JudgementRow]) -> SatisfactionReport:
    """Compare judged sessions on both sides of an alert."""
    pages = [[row for row in rows if row.doc_id in row.shown] for rows in (before, after)]
    clicks = [sum(row.doc_id in row.clicked for row in rows) for rows in pages]
    shown = _compared(len(pages[0]), len(before), len(pages[1]), len(after))
    clicked = _compared(clicks[0], len(pages[0]), clicks[1], len(pages[1]))
    return SatisfactionReport(
        sessions_before=len(before),
        sessions_after=len(after),
        shown_before=shown[0],
        shown_after=shown[1],
        clicked_before=clicked[0],
        clicked_after=clicked[1],
        shown_z=shown[2],
        clicked_z=clicked[2],
        same_finds=None if shown[2] is None else not _fell(shown),
        passed_over=None if clicked[2] is None else _fell(clicked),
    )


def _fell(compared: tuple[float | None, float | None, float | None]) -> bool:
    before, after, z = compared
    return (z or 0.0) <= -Z_LIMIT and (before or 0.0) - (after or 0.0) >= MIN_FALL


def _compared(a: int, n: int, b: int, m: int) -> tuple[float | None, float | None, float | None]:
    """Return both shares and the z of their difference (two proportions, pooled)."""
    old, new = (a / n if n else None), (b / m if m else None)
    if old is None or new is None or min(n, m) < MIN_ROWS:
        return old, new, None
    pooled = (a + b) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return old, new, (new - old) / spread if spread > 0 else 0.0
