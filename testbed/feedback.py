"""The feedback pipeline: joins what users say to the search they say it about, and keeps the rolling figures.

Clicks and ratings arrive with the id of their search. Judgements pass a join whose settings live in
`state/pipeline.json` (`{"join": {"offset": rows, "share": 0..1}}`): with an offset of zero a judgement meets its own
search. The settings are read again when the file changes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from testbed import clock
from testbed.events import FeedbackEvent, Told
from testbed.experiment import FIGURES, Experiment
from testbed.feedback_store import FeedbackStore
from testbed.jsonlog import JsonLog
from testbed.judged import Judgement, Quarantine, SearchRecord, join
from testbed.metrics import Metrics, Rolling, Rows, current
from testbed.values import describe

REMEMBERED = 20_000
RATINGS = 400


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JoinSettings(_Strict):
    """`share` of the judgements are joined `offset` searches too early."""

    offset: int = Field(default=0, ge=0, le=1000)
    share: float = Field(default=0.0, ge=0.0, le=1.0)


class PipelineSettings(_Strict):
    """The content of `state/pipeline.json`."""

    join: JoinSettings = JoinSettings()


class FeedbackPipeline:
    """State of the pipeline; belongs to the event loop's thread."""

    def __init__(
        self,
        store: FeedbackStore,
        metrics: Metrics,
        log: JsonLog,
        settings: Path,
        subject_of: Callable[[str], str],
        words_of: Callable[[str], frozenset[str]],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._log = log
        self._settings_path = settings
        self._settings_seen = -1
        self._join = JoinSettings()
        self._subject_of = subject_of
        self._words_of = words_of
        self._searches: OrderedDict[str, SearchRecord] = OrderedDict()
        self._order: deque[SearchRecord] = deque(maxlen=REMEMBERED)
        self._pending: list[tuple[Judgement, str | None]] = []
        self._quarantines = store.quarantines()
        self._window: deque[tuple[Judgement, float]] = deque(maxlen=400)
        self._ratings = Rolling(RATINGS)
        self.told = Told()
        self.experiment = Experiment("", ())
        _register(self, metrics)

    # --- what happens

    def remember(self, record: SearchRecord) -> None:
        """Keep a search so that feedback can be joined to it; the oldest is forgotten."""
        self._searches[record.request_id] = record
        self._order.append(record)
        if len(self._searches) > REMEMBERED:
            self._searches.popitem(last=False)

    def accept(self, event: FeedbackEvent, user_agent: str = "") -> bool:
        """Take in one event; False when its search is unknown (never answered, or forgotten)."""
        record = self._searches.get(event.request_id)
        self._metrics.feedback.labels(event.kind, "unknown" if record is None else "accepted").inc()
        if record is None:
            return False
        self.told.keep(event, record, user_agent, clock.timestamp())
        if event.kind == "click" and event.doc_id is not None:
            record.clicked.append(event.doc_id)
        elif event.kind == "rating" and event.value is not None:
            self._ratings.add(event.value)
            self.experiment.rated(record.variant, record.digest, event.value)
        elif event.kind == "judgement" and event.doc_id is not None:
            self._judge(record, event.doc_id, 1 if event.value is None else int(event.value))
        return True

    def quarantine(self, entry: Quarantine) -> bool:
        """Take judgements out of use; False when the key is there already with the same content.

        Raises:
            ValueError: the key is there with another content.
        """
        known = self.find_quarantine(entry.key)
        if known == entry:
            return False
        if known is not None:
            raise ValueError(f"key: {entry.key!r} is in use for another quarantine; choose another key")
        self.flush()
        self._store.quarantine(entry)
        self._quarantines.append(entry)
        self._window = deque((item for item in self._window if not entry.drops(item[0])), maxlen=self._window.maxlen)
        self.experiment.retain(row for row in self.experiment.judged_rows if not entry.drops(row))
        return True

    def find_quarantine(self, key: str) -> Quarantine | None:
        """The quarantine of this key."""
        return next((entry for entry in self._quarantines if entry.key == key), None)

    def dropped(self, key: str) -> int:
        """How many readable judgements the quarantine of this key holds so far."""
        self.flush()
        return self._store.dropped(key)

    def flush(self) -> None:
        """Write pending judgements to disk."""
        if self._pending:
            pending, self._pending = self._pending, []
            self._store.append(pending)

    def resize(self, window: int) -> None:
        """Set how many judged sessions stand behind the rolling figures."""
        if window != self._window.maxlen:
            self._window = deque(self._window, maxlen=window)

    def start_experiment(self, experiment: Experiment) -> None:
        """Begin user-level statistics anew."""
        self.experiment = experiment

    def reload_settings(self) -> None:
        """Read the join's settings again if their file changed; settings that are wrong are logged and not used."""
        try:
            seen = self._settings_path.stat().st_mtime_ns
        except FileNotFoundError:
            seen = 0
        if seen == self._settings_seen:
            return
        self._settings_seen = seen
        try:
            text = self._settings_path.read_text(encoding="utf-8") if seen else "{}"
            self._join = PipelineSettings.model_validate_json(text).join
        except ValidationError as error:
            self._log.write("error", "pipeline_settings_rejected", reason=describe(error))
            return
        self._log.write("info", "pipeline_settings_loaded")

    # --- figures

    def mean(self, figure: Callable[[Judgement, float], float]) -> float | None:
        """Mean of a figure over the window; None while too little is in it."""
        rolling = Rolling(len(self._window) or 1)
        for row, recall in self._window:
            rolling.add(figure(row, recall))
        return rolling.mean()

    def satisfaction(self) -> float | None:
        """Mean of the last ratings, 1 to 5."""
        return self._ratings.mean()

    def _judge(self, own: SearchRecord, doc_id: str, grade: int) -> None:
        record = self._joined(own)
        row = join(record, doc_id, grade, clock.timestamp(), self._subject_of(doc_id), self._words_of(doc_id))
        held_by = next((entry.key for entry in self._quarantines if entry.drops(row)), None)
        self._pending.append((row, held_by))
        self._metrics.judgements.inc()
        if held_by is not None:
            return
        self._window.append((row, float(doc_id in record.retrieved)))
        self._metrics.judged.labels(row.variant, row.digest).inc()
        self._metrics.ndcg_sum.labels(row.variant, row.digest).inc(row.ndcg)
        self._metrics.ndcg_squares.labels(row.variant, row.digest).inc(row.ndcg**2)
        self._metrics.recall_sum.labels(row.variant, row.digest).inc(float(doc_id in record.retrieved))
        self.experiment.judged(row)

    def _joined(self, own: SearchRecord) -> SearchRecord:
        """The search the join pairs a judgement with: its own, or an earlier one where the join slips."""
        if self._join.offset == 0 or _fraction(own.request_id) >= self._join.share:
            return own
        earlier = [record for record in self._latest() if record.ts <= own.ts and record is not own]
        return earlier[min(self._join.offset, len(earlier)) - 1] if earlier else own

    def _latest(self) -> Iterable[SearchRecord]:
        """The last few hundred searches, newest first."""
        for position in range(1, min(len(self._order), self._join.offset + 300) + 1):
            yield self._order[-position]


def _fraction(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def _register(pipeline: FeedbackPipeline, metrics: Metrics) -> None:
    """Publish the pipeline's figures as gauges computed at scrape time."""

    def rolling(name: str, text: str, figure: Callable[[Judgement, float], float]) -> None:
        metrics.source.add(name, text, ("window",), lambda: current(pipeline.mean(figure)))

    rolling("search_ndcg_at_10", "Mean nDCG@10 of the last judged sessions", lambda row, _: row.ndcg)
    rolling("search_recall_at_20", "Share of judged documents in the first 20", lambda _, recall: recall)
    rolling(
        "feedback_click_agreement",
        "Share of judgements whose document was clicked in the same search",
        lambda row, _: float(row.agrees),
    )
    metrics.source.add(
        "search_satisfaction", "Mean rating, 1 to 5", ("window",), lambda: current(pipeline.satisfaction())
    )
    labels = ("variant", "digest", "revision")
    for name in FIGURES:
        metrics.source.add(name, name.replace("_", " "), labels, _figure_rows(pipeline, name))


def _figure_rows(pipeline: FeedbackPipeline, name: str) -> Callable[[], Rows]:
    return lambda: pipeline.experiment.rows(name)
