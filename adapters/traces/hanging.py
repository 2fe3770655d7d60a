"""What is open at a sink, and what a process that died has left open there.

The journal is written before what was opened is sent, and after what was closed was: so it names at least what hangs,
should the process die. A span that was sent as closed in the moment between is closed once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.traces.base import Journal
from domain.errors import EvercrewError
from domain.trace import SpanData

INTERRUPTED = "interrupted: the process that worked on it ended"


class Hanging:
    """Keeps the journal of one sink; used by one thread."""

    def __init__(self, sink: str, journal: Journal) -> None:
        self._sink = sink
        self._journal = journal
        self._open: dict[str, dict[str, SpanData]] = {}
        self._stale: set[str] = set()
        self._written: dict[str, frozenset[str]] = {}

    def taken(self, spans: Sequence[SpanData]) -> list[SpanData]:
        """Return what is to be sent in place of a batch: closed, what a dead process left open of the same cycles;
        and the batch, but for roots that are open there already.
        """
        hanging = [gone for span in spans for gone in self._adopted(span)]
        known = {identity for opened in self._open.values() for identity, span in opened.items() if span.is_root}
        self._note(spans)
        return [*hanging, *(span for span in spans if span.end is not None or span.place.id not in known)]

    def sent(self, spans: Sequence[SpanData], *, at_leisure: bool) -> None:
        """Strike out what was closed, now that it was sent; on paper only when nothing else waits."""
        for span in spans:
            opened = self._open.get(span.cycle_id, {})
            if span.end is not None and opened.pop(span.place.id, None) is not None:
                self._stale.add(span.cycle_id)
        if at_leisure:
            self._write(set(self._stale))
            for cycle in [c for c, opened in self._open.items() if not opened and c not in self._stale]:
                del self._open[cycle]
                self._written.pop(cycle, None)

    def _adopted(self, span: SpanData) -> list[SpanData]:
        """Return what a dead process left open of a cycle, closed, when this one takes a step in it.

        Only one process works on a cycle at a time: what is open of it, and not ours, is nobody's any more; but the
        root, which is everybody's.
        """
        cycle = span.cycle_id
        begins = span.end is None and (span.is_root or "step" in span.facts)
        ours = any(not mine.is_root for mine in self._open.get(cycle, {}).values())
        if not begins or ours or cycle in self._stale:
            return []
        try:
            left = self._journal.left(self._sink, cycle)
        except EvercrewError:
            left = []
        self._open[cycle] = {**self._open.get(cycle, {}), **{gone.place.id: gone for gone in left if gone.is_root}}
        self._written[cycle] = frozenset(gone.place.id for gone in left)
        closed = [gone for gone in left if not gone.is_root]
        if closed:
            self._stale.add(cycle)
        # It ended somewhere between the last that was heard of it and now.
        return [replace(gone, end=max(span.start, gone.start), error=INTERRUPTED) for gone in closed]

    def _note(self, spans: Sequence[SpanData]) -> None:
        """Write down what was opened, before it is sent."""
        touched: set[str] = set()
        closed = {span.place.id for span in spans if span.end is not None}
        for span in spans:
            opened = self._open.get(span.cycle_id)
            if opened is not None and span.place.id not in closed and span.place.id not in opened:
                opened[span.place.id] = replace(span, inputs={}, facts={})
                touched.add(span.cycle_id)
        self._write(touched)

    def _write(self, cycles: set[str]) -> None:
        for cycle in cycles:
            spans = list(self._open.get(cycle, {}).values())
            identities = frozenset(span.place.id for span in spans)
            try:
                if identities != self._written.get(cycle, frozenset()):
                    self._journal.keep(self._sink, cycle, spans)
                self._written[cycle] = identities
                self._stale.discard(cycle)
            except EvercrewError:
                # Without a journal a span may hang in a trace; nothing else depends on it.
                self._stale.add(cycle)
