"""`etl_report`: does the intake of documents keep up with what arrives?"""

from __future__ import annotations

from datetime import datetime, timedelta

from adapters.metrics.base import MetricsPort
from adapters.vcs.base import VcsPort
from domain.signal import SeriesQuery, Stat
from tools.deliver.values import DEFAULT_LAYOUT, ValuesLayout, parse_values
from tools.observe.reading import SignalReader
from tools.tool import Call, Nothing, Result, Tool, ToolSpec

_TAKEN = "search_etl_documents_total"


class EtlReport(Result):
    """How the intake stands; None is what could not be measured.

    Ages are in seconds, rates in documents a second: `taken_per_s` over the current window, `taken_per_s_before` over
    the baseline window before the alert. `behind` says that documents wait while fewer are taken in than before.
    """

    pending: int | None
    oldest_s: float | None
    taken_per_s: float | None
    taken_per_s_before: float | None
    behind: bool | None
    declared_workers: int | None
    declared_batch: int | None


class EtlCheck(Tool[Nothing, EtlReport]):
    """Reads the queue of the intake and what it takes in, now and before the alert."""

    spec = ToolSpec(
        "etl_report", "Report the intake of documents: how many wait, for how long, and how many are taken in a second."
    )
    input = Nothing
    output = EtlReport

    def __init__(
        self, metrics: MetricsPort, vcs: VcsPort, reader: SignalReader, layout: ValuesLayout = DEFAULT_LAYOUT
    ) -> None:
        self._layout = layout
        self._metrics = metrics
        self._vcs = vcs
        self._reader = reader

    def run(self, args: Nothing, call: Call) -> EtlReport:
        windows = self._reader.windows
        pending = self._gauge("search_etl_pending_documents")
        now = self._rate(windows.current, None)
        before = self._rate(windows.baseline, call.scope.alert_at - windows.gap)
        declared = parse_values(self._vcs.read(self._vcs.head()), self._layout).etl
        known = pending is not None and now is not None and before is not None
        return EtlReport(
            pending=None if pending is None else round(pending),
            oldest_s=self._gauge("search_etl_backlog_seconds"),
            taken_per_s=now,
            taken_per_s_before=before,
            behind=bool(pending and (now or 0.0) < (before or 0.0)) if known else None,
            declared_workers=declared.workers,
            declared_batch=declared.batch,
        )

    def _gauge(self, metric: str) -> float | None:
        found = self._metrics.read(SeriesQuery(metric=metric))
        return found.value if found.usable else None

    def _rate(self, window: timedelta, at: datetime | None) -> float | None:
        query = SeriesQuery(metric=_TAKEN, stat=Stat.RATE, window_s=window.total_seconds())
        found = self._metrics.read(query, at)
        return found.value if found.usable else None
