"""The search service of one process: answers searches from what is live, and counts what happened."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from testbed import clock
from testbed.documents import DocumentStore
from testbed.feedback import FeedbackPipeline
from testbed.feedback_store import FeedbackStore
from testbed.follower import Follower
from testbed.jsonlog import JsonLog
from testbed.judged import RETRIEVED, SearchRecord
from testbed.layout import Layout
from testbed.live import Live, NotReadyError
from testbed.metrics import Metrics, Rows, request_cost
from testbed.search import Hit, Mode
from testbed.shards import ShardError, Stored
from testbed.values import Variant

# More hits than needed are asked for, so that unreadable ones can be left out.
_SPARE = 10
_WORKERS = 2
Results = list[tuple[Stored, float]]


class SearchService:
    """Built once a process. `start` makes the first state live; its follower keeps it current."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.log = JsonLog(layout.log)
        self.metrics = Metrics()
        self.documents = DocumentStore(layout.corpus)
        self.feedback_store = FeedbackStore(layout.feedback, layout.sealed)
        self.feedback = FeedbackPipeline(
            self.feedback_store, self.metrics, self.log, layout.pipeline, self.documents.subject, self.documents.words
        )
        self.follower = Follower(layout, self.documents, self.feedback, self.metrics, self.log)
        self._searching = ThreadPoolExecutor(_WORKERS, thread_name_prefix="search")
        source = self.metrics.source
        source.add("search_index_lag_documents", "Documents that arrived and are not indexed", (), self._lag_documents)
        source.add("search_index_lag_seconds", "Age of the oldest document not indexed", (), self._lag_seconds)
        source.add("search_index_documents", "Documents a search can find", (), lambda: [((), float(self._indexed()))])
        intake = self.follower.intake
        source.add("search_etl_pending_documents", "Documents that wait", (), lambda: [((), float(intake.pending))])
        source.add(
            "search_etl_backlog_seconds",
            "Age of the oldest document that waits, 0 when none does",
            (),
            lambda: [((), intake.oldest(clock.timestamp()))],
        )
        source.add("search_values_valid", "1 while the head of main is what is applied", (), self._values_valid)

    @property
    def live(self) -> Live:
        """What serves now; raises `NotReadyError`."""
        if self.follower.live is None:
            raise NotReadyError("no model is live yet; ask /healthz until it answers 200")
        return self.follower.live

    async def start(self) -> None:
        """Make the head of `main` live and follow it; raises what stops the first start."""
        await self.follower.start()

    async def stop(self) -> None:
        """Stop following and write what is pending."""
        await self.follower.stop()
        self.feedback.flush()
        self.feedback_store.close()
        self._searching.shutdown(wait=True)
        self.log.write("info", "service_stopped")
        self.log.close()

    async def search(self, query: str, user_id: str, k: int, *, probe: bool = False) -> dict[str, Any]:
        """Answer a search and remember it for feedback; a `probe` leaves no trace in figures or feedback."""
        live, started = self.live, clock.monotonic()
        variant, mode = live.variant(user_id), live.mode
        wanted = max(k, RETRIEVED)
        loop = asyncio.get_running_loop()
        hits, cpu = await loop.run_in_executor(self._searching, _timed, live, variant, query, wanted + _SPARE)
        results, unreadable = _stored(live, hits, wanted)
        request_id, chars = uuid4().hex, live.values.search.title_chars
        if not probe:
            seconds, cost = clock.monotonic() - started, request_cost(cpu, live.tier)
            self.metrics.served(variant.name, mode, "partial" if unreadable else "ok", seconds, cost)
            self.metrics.spending.spend(clock.monotonic(), cost)
            self._count(unreadable)
            self.feedback.experiment.served(variant.name, user_id, seconds, cost)
            self.feedback.remember(_record(request_id, user_id, query, variant, mode, results, k))
        return {
            "request_id": request_id,
            "variant": variant.name,
            "digest": variant.digest,
            "mode": mode,
            "results": [
                {"id": stored.id, "title": stored.title[:chars], "score": round(score, 6), "subject": stored.subject}
                for stored, score in results[:k]
            ],
        }

    def version(self) -> dict[str, Any]:
        """The answer of /version; raises `NotReadyError`."""
        return self.live.describe() | {"values_error": self.follower.values_error}

    def _count(self, unreadable: list[ShardError]) -> None:
        if unreadable:
            self.metrics.index_errors.inc(len(unreadable))
            self.metrics.errors.labels("index_read").inc()
            first = unreadable[0]
            self.log.write_at_most(2.0, "error", "index_read_failed", shard=first.shard, reason=str(first))

    def _indexed(self) -> int:
        return self.follower.live.indexed if self.follower.live is not None else 0

    def _lag_documents(self) -> Rows:
        return [((), float(len(self.documents) - self._indexed()))]

    def _lag_seconds(self) -> Rows:
        live = self.follower.live
        oldest = self.documents.oldest_after(len(live.index) if live is not None else 0)
        return [((), 0.0 if oldest is None else clock.timestamp() - oldest.arrived_at)]

    def _values_valid(self) -> Rows:
        return [((), float(self.follower.values_error is None))]


def _timed(live: Live, variant: Variant, query: str, k: int) -> tuple[list[Hit], float]:
    """Hits and the CPU seconds they took."""
    before = clock.cpu()
    hits = live.searchers[variant.digest].search(query, k, live.mode, live.values.search.candidates)
    return hits, clock.cpu() - before


def _stored(live: Live, hits: list[Hit], wanted: int) -> tuple[Results, list[ShardError]]:
    """The first `wanted` hits whose stored fields can be read, and what could not be read on the way."""
    results: Results = []
    unreadable: list[ShardError] = []
    for hit in hits:
        if len(results) == wanted:
            break
        try:
            results.append((live.shards.read(hit.id), hit.score))
        except ShardError as error:
            unreadable.append(error)
    return results, unreadable


def _record(
    request_id: str, user_id: str, query: str, variant: Variant, mode: Mode, results: Results, k: int
) -> SearchRecord:
    ids = tuple(stored.id for stored, _ in results)
    return SearchRecord(
        request_id=request_id,
        ts=clock.timestamp(),
        user_id=user_id,
        query=query,
        variant=variant.name,
        digest=variant.digest,
        mode=mode,
        shown=ids[:k],
        retrieved=ids[:RETRIEVED],
    )
