"""`recall_report`: can every document still be found?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from adapters.metrics.base import MetricsPort
from adapters.platform.base import JudgementRow, PlatformPort
from domain.signal import SeriesQuery
from tools.observe.judged import sides
from tools.observe.reading import SignalReader
from tools.tool import Call, Nothing, Result, Tool, ToolSpec

# Subjects with fewer judged sessions on a side say nothing.
MIN_SESSIONS = 15
# A subject is lost where no more than this share of its sessions is shown what it is after.
LOST = 0.1


class RecallReport(Result):
    """What of the corpus a search can find; shares are in [0, 1], None is what could not be measured.

    `missing` documents are stored and not in the index. `shown_before` and `shown_after` are the shares of judged
    sessions whose document stood on the page. `lost_subjects` were found before and are hardly found now.
    """

    documents: int
    missing: int | None
    missing_share: float | None
    shown_before: float | None
    shown_after: float | None
    lost_subjects: tuple[str, ...]


class RecallCheck(Tool[Nothing, RecallReport]):
    """Compares the stored documents with those the index holds, and what users were shown before and after."""

    spec = ToolSpec(
        "recall_report", "Report what can be found: stored documents missing from the index, subjects no longer found."
    )
    input = Nothing
    output = RecallReport

    def __init__(self, platform: PlatformPort, metrics: MetricsPort, reader: SignalReader) -> None:
        self._platform = platform
        self._metrics = metrics
        self._reader = reader

    def run(self, args: Nothing, call: Call) -> RecallReport:
        stored = len(self._platform.documents())
        indexed = self._metrics.read(SeriesQuery(metric="search_index_documents"))
        missing = max(stored - round(indexed.finite()), 0) if indexed.usable else None
        seen = sides(self._platform, self._reader, call.scope.alert_at)
        return RecallReport(
            documents=stored,
            missing=missing,
            missing_share=missing / stored if missing is not None and stored else None,
            shown_before=_shown(seen.before),
            shown_after=_shown(seen.after),
            lost_subjects=_lost(seen.before, seen.after),
        )


def _shown(rows: Sequence[JudgementRow]) -> float | None:
    return sum(row.doc_id in row.shown for row in rows) / len(rows) if rows else None


def _lost(before: Sequence[JudgementRow], after: Sequence[JudgementRow]) -> tuple[str, ...]:
    groups: dict[str, tuple[list[JudgementRow], list[JudgementRow]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((before, after)):
        for row in rows:
            groups[row.subject][side].append(row)
    known = {name: pair for name, pair in groups.items() if min(map(len, pair)) >= MIN_SESSIONS}
    lost = [name for name, (old, new) in known.items() if (_shown(old) or 0) > 5 * LOST and (_shown(new) or 0) <= LOST]
    return tuple(sorted(lost))
