"""Keeps the service current: follows git, the drop folder, the index, the pipeline's settings and operators' overrides.

`live` is replaced in one assignment, so a search sees the old or the new state and never a mixture. Everything that
takes time (fetching and loading models, building an index) happens on threads before that assignment.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from testbed import clock
from testbed.corpus import Document
from testbed.documents import DocumentStore
from testbed.errors import TestbedError
from testbed.experiment import Experiment
from testbed.feedback import FeedbackPipeline
from testbed.intake import TURN_SECONDS, Intake
from testbed.jsonlog import JsonLog
from testbed.layout import Layout
from testbed.live import Live
from testbed.metrics import Metrics
from testbed.models import ModelCache
from testbed.reconciler import Applied, AppliedFile, GitError, GitOps, OverridesFile
from testbed.registry import RegistryError
from testbed.search import LexicalIndex, Searcher
from testbed.shards import ShardStore, Stored
from testbed.values import RuntimeOverrides, Values, ValuesError

POLL_SECONDS = 0.3
# A refused revision is tried again after this time: its model may be registered late.
RETRY_SECONDS = 15.0


class Follower:
    """Owns what is live. `start` raises what stops the first start; later troubles leave the old state live."""

    def __init__(
        self, layout: Layout, documents: DocumentStore, feedback: FeedbackPipeline, metrics: Metrics, log: JsonLog
    ) -> None:
        self.live: Live | None = None
        self.values_error: str | None = None
        self._documents, self._feedback, self._metrics, self._log = documents, feedback, metrics, log
        self.intake = Intake(layout.incoming, documents, metrics, log)
        self._index_root = layout.index
        self._git = GitOps(layout.followed)
        self._overrides = OverridesFile(layout.runtime)
        self._applied = AppliedFile(layout.applied)
        self._models = ModelCache(layout.root, layout.models)
        self._refused, self._retry_at = "", 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Apply the head of `main` and begin to follow.

        A restart at the revision that was applied last is no deployment: overrides stay.

        Raises:
            GitError, ValuesError, RegistryError: the head cannot be applied.
        """
        self._feedback.reload_settings()
        overrides = self._overrides.changed() or RuntimeOverrides()
        commit = await asyncio.to_thread(self._git.head)
        values = await asyncio.to_thread(self._git.values, commit)
        index = await asyncio.to_thread(LexicalIndex, self._documents.documents())
        before = self._applied.read()
        if before is not None and before.commit == commit:
            await self._apply(before, values, index, overrides)
        else:
            await self._deploy(commit, values, index)
        self._log.write("info", "service_started", revision=commit, documents=len(index))
        chores = ((self.follow, POLL_SECONDS), (self.tend, POLL_SECONDS), (self.take_in, TURN_SECONDS))
        self._tasks = [asyncio.create_task(self._repeat(step, pause)) for step, pause in chores]

    async def stop(self) -> None:
        """End following."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def ended(self) -> str:
        """Why following ended although nobody stopped it; empty while it goes on."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                return repr(task.exception())
        return ""

    async def follow(self) -> None:
        """One look at git and at the document store; a revision that cannot be applied is reported once."""
        live = self._current()
        commit = ""
        try:
            commit = await asyncio.to_thread(self._git.head)
            if commit != live.applied.commit and (commit != self._refused or clock.monotonic() > self._retry_at):
                values = await asyncio.to_thread(self._git.values, commit)
                await self._deploy(commit, values, live.index)
            elif commit == live.applied.commit:
                self.values_error = None
        except (GitError, ValuesError, RegistryError) as error:
            self._refuse(commit, error)
        if self._current().shards.replaced():
            await self._reopen()
        if len(self._documents) > len(self._current().index):
            await self._index_new()

    async def tend(self) -> None:
        """The quick chores: pending judgements, pipeline settings, overrides."""
        self._feedback.flush()
        self._feedback.reload_settings()
        try:
            self._override(self._overrides.changed())
        except ValuesError as error:
            self._log.write("error", "runtime_overrides_rejected", reason=str(error))

    async def take_in(self) -> None:
        """One turn of the intake."""
        arrived = self.intake.turn(self._current().values.etl, clock.timestamp())
        if arrived:
            self._log.write("info", "documents_arrived", count=arrived, documents=len(self._documents))

    async def _repeat(self, step: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            try:
                await step()
            except (TestbedError, OSError, sqlite3.Error) as error:
                self._log.write_at_most(5.0, "error", "chore_failed", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(pause)

    def _current(self) -> Live:
        if self.live is None:
            raise TestbedError("nothing is live: call start first")
        return self.live

    def _refuse(self, commit: str, error: TestbedError) -> None:
        if self.values_error != str(error):
            self._metrics.reconcile_errors.inc()
            self._log.write("error", "values_rejected", revision=commit, reason=str(error))
        self.values_error = str(error)
        if isinstance(error, ValuesError | RegistryError):
            self._refused, self._retry_at = commit, clock.monotonic() + RETRY_SECONDS

    async def _deploy(self, commit: str, values: Values, index: LexicalIndex) -> None:
        """Make a new revision live; overrides that were set by hand end with it."""
        old = self.live.values if self.live is not None else None
        same = old is not None and (old.variants, old.experiment) == (values.variants, values.experiment)
        since = self._current().applied.variants_since if same else commit
        await self._apply(Applied(commit, clock.timestamp(), since), values, index, RuntimeOverrides())
        if self._overrides.clear():
            self._log.write("info", "runtime_overrides_cleared")
        self._log.write(
            "info",
            "revision_applied",
            revision=commit,
            digest=values.model.digest,
            model_version=values.model.version,
            mode=values.search.mode,
            tier=values.search.tier,
            etl=values.etl.model_dump(),
            variants=[variant.model_dump() for variant in values.variants],
        )

    async def _apply(self, applied: Applied, values: Values, index: LexicalIndex, overrides: RuntimeOverrides) -> None:
        """Load everything the values name, then make it live at once."""
        old = self.live
        ready = dict(old.searchers) if old is not None else {}
        for digest in values.digests:
            if digest not in ready:
                ready[digest] = await asyncio.to_thread(self._searcher, index, digest)
        shards = await asyncio.to_thread(self._shards, values.index.generation, index)
        searchers = {digest: ready[digest] for digest in values.digests}
        missing = _leave_out(index, shards, searchers)
        self.live = Live(applied, values, overrides, index, shards, searchers, missing)
        if applied.variants_since != self._feedback.experiment.revision:
            self._feedback.start_experiment(Experiment(applied.variants_since, values.variants))
        self._feedback.resize(values.feedback.window)
        self._metrics.spending.allow(values.budget.usd, values.budget.period_s)
        self._applied.write(applied)
        self.values_error = None
        self._announce()

    def _searcher(self, index: LexicalIndex, digest: str) -> Searcher:
        return Searcher(index, self._models.load(digest))

    def _shards(self, generation: int, index: LexicalIndex) -> ShardStore:
        if self.live is not None and self.live.shards.generation == generation:
            return self.live.shards
        if self.live is None:
            existing = ShardStore(self._index_root, generation)
            if len(existing) == len(index):
                return existing
        return ShardStore.rebuild(self._index_root, generation, _to_store(index.documents))

    async def _index_new(self) -> None:
        """Index the documents that arrived; models keep what they know."""
        before, started = self._current(), clock.monotonic()
        rows = [row.document for row in self._documents.since(len(before.index))]
        index = await asyncio.to_thread(before.index.extended, rows)
        searchers = {
            digest: await asyncio.to_thread(Searcher, index, old.bundle) for digest, old in before.searchers.items()
        }
        await asyncio.to_thread(before.shards.append, _to_store(rows))
        missing = _leave_out(index, before.shards, searchers)
        self.live = replace(self._current(), index=index, searchers=searchers, missing=missing)
        seconds = round(clock.monotonic() - started, 2)
        self._log.write("info", "documents_indexed", count=len(rows), documents=len(index), seconds=seconds)

    async def _reopen(self) -> None:
        """Read the stored index again: somebody has replaced its directory."""
        before = self._current()
        shards = await asyncio.to_thread(ShardStore, self._index_root, before.shards.generation)
        missing = _leave_out(before.index, shards, before.searchers)
        self.live = replace(self._current(), shards=shards, missing=missing)
        self._log.write("info", "index_reopened", documents=self.live.indexed)

    def _override(self, overrides: RuntimeOverrides | None) -> None:
        live = self._current()
        if overrides is not None and overrides != live.overrides:
            self.live = replace(live, overrides=overrides)
            self._announce()
            self._log.write("warning", "runtime_overrides_changed", mode=self.live.mode, tier=self.live.tier)

    def _announce(self) -> None:
        live = self._current()
        self._metrics.live(live.values.model.digest, live.applied.commit, live.mode, live.tier)


def _leave_out(index: LexicalIndex, shards: ShardStore, searchers: Mapping[str, Searcher]) -> int:
    """Let no search find what the stored index does not hold; returns how many documents that are."""
    missing = [key for key in index.ids if key not in shards]
    for searcher in searchers.values():
        searcher.hide(missing)
    return len(missing)


def _to_store(documents: Iterable[Document]) -> list[Stored]:
    return [Stored(document.id, document.title, document.subject) for document in documents]
