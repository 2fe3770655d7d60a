"""The tree of spans: how they are opened, nested and closed. Where they go is the business of who inherits."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from asyncio import CancelledError
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from adapters.traces.base import Span
from domain.clock import Clock, SystemClock
from domain.ids import CYCLE_ID
from domain.trace import CHAIN, REQUEST, Rating, SpanData, SpanPlace, new_root

_MOST_KNOWN = 1000
_NOWHERE = SpanPlace("", ())


class OpenSpan:
    """A span while it is open. Safe for threads: the crews' calls may come side by side."""

    def __init__(self, home: SpanTree, data: SpanData) -> None:
        self.place: SpanPlace | None = data.place
        self.data = data
        self._home = home
        self._outputs: Mapping[str, Any] = {}
        self._facts: dict[str, Any] = dict(data.facts)
        self._lock = threading.Lock()
        self._ended = False

    def done(self, outputs: Mapping[str, Any]) -> None:
        """See `Span.done`."""
        self._outputs = dict(outputs)

    def tell(self, **facts: Any) -> None:
        """See `Span.tell`; lists of the same name are joined."""
        with self._lock:
            for name, fact in facts.items():
                self._facts[name] = _joined(self._facts.get(name), fact)

    def called(self, name: str) -> None:
        """See `Span.called`."""
        self.data = replace(self.data, name=name)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """See `Span.inside`."""
        with self._home.within(self):
            yield

    def end(self, error: str = "") -> None:
        """See `Span.end`."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            facts = dict(self._facts)
        now = max(self._home.clock.now(), self.data.start)
        self._home.take(replace(self.data, outputs=self._outputs, facts=facts, end=now, error=error))


class SpanTree(ABC):
    """A `TracesPort` but for where spans go: `take` and `take_rating` are given everything, and must not block."""

    name: str

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._current: ContextVar[OpenSpan | None] = ContextVar("evercrew_span", default=None)
        self._rooted: dict[str, None] = {}

    @abstractmethod
    def take(self, span: SpanData) -> None:
        """Take a span that was opened, or closed."""

    @abstractmethod
    def take_rating(self, rating: Rating) -> None:
        """Take a rating."""

    @contextmanager
    def span(
        self,
        name: str,
        kind: str,
        inputs: Mapping[str, Any],
        *,
        cycle_id: str,
        under: SpanPlace | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Iterator[Span]:
        """See `TracesPort.span`."""
        opened = self._opened(SpanData(name, kind, cycle_id, _NOWHERE, inputs=inputs, facts=facts or {}), under)
        with _Ending(opened), self.within(opened):
            yield opened

    def begin(
        self,
        name: str,
        kind: str,
        inputs: Mapping[str, Any],
        *,
        cycle_id: str,
        under: SpanPlace | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Span:
        """See `TracesPort.begin`."""
        return self._opened(SpanData(name, kind, cycle_id, _NOWHERE, inputs=inputs, facts=facts or {}), under)

    def put(self, span: SpanData) -> None:
        """See `TracesPort.put`."""
        self.take(span)

    def rate(self, rating: Rating) -> None:
        """See `TracesPort.rate`."""
        self.take_rating(rating)

    def current(self) -> SpanPlace | None:
        """See `TracesPort.current`."""
        opened = self._current.get()
        return opened.place if opened is not None else None

    def tell(self, **facts: Any) -> None:
        """See `TracesPort.tell`."""
        opened = self._current.get()
        if opened is not None:
            opened.tell(**facts)

    @contextmanager
    def within(self, opened: OpenSpan) -> Iterator[None]:
        """Open other spans inside of this one."""
        token = self._current.set(opened)
        try:
            yield
        finally:
            self._current.reset(token)

    def _opened(self, span: SpanData, under: SpanPlace | None) -> OpenSpan:
        """Give a span its place, and open it."""
        now, outer = self.clock.now(), self._current.get()
        # What a request caused is a trace of its own, which names the request: a cycle outlives whoever asked for it.
        asked_by = outer.data.place if outer is not None and outer.data.kind == REQUEST else None
        above = under if outer is None or asked_by is not None else outer.data.place
        if above is not None and above is under:
            self._root(span.cycle_id, above)
        # Without a path it is the span of somebody else, whose beginning is not known here.
        begins = max(now, above.start) if above is not None and above.path else now
        place = above.below(begins) if above is not None else new_root(begins)
        data = replace(span, place=place, link=asked_by)
        self.take(data)
        return OpenSpan(self, data)

    def _root(self, cycle_id: str, place: SpanPlace) -> None:
        """Give a piece of work that is no cycle its root; a cycle has its own, from its first step to its end."""
        if CYCLE_ID.match(cycle_id) or len(place.path) != 1 or place.trace in self._rooted:
            return
        if len(self._rooted) >= _MOST_KNOWN:
            self._rooted.clear()
        self._rooted[place.trace] = None
        self.take(SpanData(cycle_id or "work", CHAIN, cycle_id, place, end=max(self.clock.now(), place.start)))


def _joined(known: Any, fact: Any) -> Any:
    return [*known, *fact] if isinstance(known, list) and isinstance(fact, list) else fact


class _Ending(AbstractContextManager[None]):
    """Ends a span with whatever passes."""

    def __init__(self, opened: OpenSpan) -> None:
        self._opened = opened

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        # Whoever hangs up, or is told to end, has not failed.
        ended = error is None or isinstance(error, CancelledError | GeneratorExit)
        self._opened.end("" if ended else f"{type(error).__name__}: {error}")
