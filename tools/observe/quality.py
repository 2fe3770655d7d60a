"""`data_quality_report`: can the judgements be believed?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime

from adapters.platform.base import JudgementRow, PlatformPort
from learning.change import locate_change
from tools.data.examples import Vocabulary
from tools.observe.judged import sides
from tools.observe.reading import SignalReader
from tools.tool import Call, Nothing, Result, Tool, ToolSpec

MIN_ROWS = 50
Z_LIMIT = 4.0
# A smaller fall is users' behaviour, not a broken pipeline.
MIN_FALL = 0.15


class QualityReport(Result):
    """Can the judgements be believed? All shares are in [0, 1].

    Agreement is the share of judgements whose document was clicked in the same request: it falls with every loss of
    quality, because users who do not find what they want end up with it some other way. Fit is the share whose document
    holds a word of the query: it does not depend on what the search showed, and falls only when judgements no longer
    belong to their queries. So `damaged` rests on the fit.

    `damaged` is None when it cannot be told; `damaged_share` estimates how many of the rows since `since` are damaged.
    """

    rows_before: int
    rows_after: int
    click_agreement_before: float | None
    click_agreement_after: float | None
    word_fit_before: float | None
    word_fit_after: float | None
    shown_before: float | None
    shown_after: float | None
    duplicate_rate: float
    invalid_grades: int
    z: float | None
    damaged: bool | None
    damaged_share: float | None
    since: datetime | None
    reason: str


class DataQualityReport(Tool[Nothing, QualityReport]):
    """Compares what users clicked with what the feedback pipeline says they judged."""

    spec = ToolSpec(
        "data_quality_report",
        "Check the judgements: agreement with clicks before and after, duplicates, damaged share.",
    )
    input = Nothing
    output = QualityReport

    def __init__(self, platform: PlatformPort, reader: SignalReader) -> None:
        self._platform = platform
        self._reader = reader

    def run(self, args: Nothing, call: Call) -> QualityReport:
        seen = sides(self._platform, self._reader, call.scope.alert_at)
        vocabulary = Vocabulary(self._platform.documents())
        return _report(seen.before, seen.after, lambda row: vocabulary.overlap(row) > 0)


def _report(
    before: Sequence[JudgementRow], after: Sequence[JudgementRow], fits: Callable[[JudgementRow], bool]
) -> QualityReport:
    old, new = _rate(before, fits), _rate(after, fits)
    z = _z(old, len(before), new, len(after))
    damaged, reason = _judged(old, new, z, len(before), len(after))
    share = min(max((old - new) / old, 0.0), 1.0) if damaged and old and new is not None else None
    return QualityReport(
        rows_before=len(before),
        rows_after=len(after),
        click_agreement_before=_rate(before, _clicked),
        click_agreement_after=_rate(after, _clicked),
        word_fit_before=old,
        word_fit_after=new,
        shown_before=_rate(before, _shown),
        shown_after=_rate(after, _shown),
        duplicate_rate=_duplicates(after),
        invalid_grades=sum(1 for row in after if row.grade < 1),
        z=z,
        damaged=damaged,
        damaged_share=share,
        since=_onset([*before, *after], fits) if damaged else None,
        reason=reason,
    )


def _judged(old: float | None, new: float | None, z: float | None, n: int, m: int) -> tuple[bool | None, str]:
    if old is None or new is None or z is None or min(n, m) < MIN_ROWS:
        return None, f"{n} and {m} judgements, {MIN_ROWS} are needed on each side"
    damaged = z <= -Z_LIMIT and old - new >= MIN_FALL
    said = f"judged documents fit the query's words in {old:.1%} before and {new:.1%} after (z {z:+.1f})"
    return damaged, f"{said}: {'they no longer describe the same sessions' if damaged else 'as before'}"


def _clicked(row: JudgementRow) -> bool:
    return row.doc_id in row.clicked


def _shown(row: JudgementRow) -> bool:
    return row.doc_id in row.shown


def _rate(rows: Sequence[JudgementRow], test: Callable[[JudgementRow], bool]) -> float | None:
    return sum(1 for row in rows if test(row)) / len(rows) if rows else None


def _z(old: float | None, n: int, new: float | None, m: int) -> float | None:
    if old is None or new is None:
        return None
    pooled = (old * n + new * m) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return (new - old) / spread if spread > 0 else 0.0


def _duplicates(rows: Sequence[JudgementRow]) -> float:
    return 1 - len({row.request_id for row in rows}) / len(rows) if rows else 0.0


def _onset(rows: Sequence[JudgementRow], fits: Callable[[JudgementRow], bool]) -> datetime | None:
    """Return when the fit fell: the change point of its share in groups of ten rows."""
    groups = [rows[i : i + 10] for i in range(0, len(rows) - 9, 10)]
    rates = [sum(map(fits, group)) / len(group) for group in groups]
    change = locate_change(list(range(len(groups))), rates)
    return groups[change.index][0].ts if change.index is not None else None
