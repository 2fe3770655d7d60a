"""The live view of a cycle: a picture that redraws itself in a terminal, a line an event everywhere else."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner

from domain.clock import Clock, SystemClock
from domain.events import Event
from service import panels
from service.board import Board
from service.summary import DemoSummary
from service.wording import clean, readable, signal_label, signal_value, stage_label

# In a log, signals are said this often and no more (seconds).
SIGNALS_EVERY = 10.0
PLAIN_WIDTH = 100
WIDEST = 120


class LiveView:
    """An observer to look at. Events may come from any thread; looking on changes nothing.

    Args:
        scenario: the demo's name, shown in the header; agents never see the header.
        console: where to draw; by default standard output.
        clock: for elapsed seconds.
    """

    def __init__(self, scenario: str = "", *, console: Console | None = None, clock: Clock | None = None) -> None:
        self._console = console or _standard_output()
        self._clock = clock or SystemClock()
        self._board = Board(scenario=scenario, began=self._clock.monotonic())
        self._lock = threading.RLock()
        self._spinner = Spinner("dots", style=panels.ACCENT)
        self._live: Live | None = None
        self._said_signals = float("-inf")
        self._last_wait = ""

    @property
    def plain(self) -> bool:
        """Whether events are written as lines: the output is a file, a pipe or a terminal without cursor."""
        return not self._console.is_terminal or self._console.is_dumb_terminal

    def __enter__(self) -> LiveView:
        if not self.plain:
            self._live = Live(console=self._console, get_renderable=self._picture, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        with self._lock:
            now = self._clock.monotonic()
            fresh = event.kind == "stage" and event.what == "begin" and not self._working(event.stage)
            self._board.take(event, now)
            if self.plain:
                self._log(event, now, fresh)

    def signals(self, values: Mapping[str, float | None]) -> None:
        """Take in one sample of each signal, by the contract's names (``ndcg_at_10``, ``latency_p95_ms`` ...)."""
        with self._lock:
            self._board.measure(values)
            now = self._clock.monotonic()
            if self.plain and now - self._said_signals >= SIGNALS_EVERY:
                self._said_signals = now
                said = ", ".join(f"{signal_label(n)} {signal_value(n, v)}" for n, v in values.items())
                self._say("signals", said, now)

    def phase(self, text: str) -> None:
        """Say what goes on around the cycle: the platform starts, an alert is awaited ..."""
        with self._lock:
            self._board.phase = clean(text)
            if self.plain:
                self._say("demo", clean(text), self._clock.monotonic())

    def summary(self, facts: DemoSummary) -> None:
        """End the live picture and print the closing panel."""
        self._stop()
        width = min(self._console.width, WIDEST)
        with self._console.capture() as captured:
            self._console.print(panels.closing(facts), width=width)
        self._write(captured.get())

    def _stop(self) -> None:
        """Without the lock: the drawing thread may be waiting for it, and stopping waits for that thread."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self) -> RenderableType:
        with self._lock:
            return panels.live(self._board, self._spinner, self._clock.monotonic(), self._console.height)

    def _working(self, stage: str) -> bool:
        return any(s.value == stage and row.state == "working" for s, row in self._board.stages.items())

    def _log(self, event: Event, now: float, fresh: bool) -> None:
        match event.kind:
            case "stage":
                self._log_stage(event, now, fresh)
            case "call":
                self._say("call", panels.told(self._board.calls[-1]), now)
            case "agent":
                self._say("agent", f"{panels.role_and_stage(event.who, event.stage)}: {clean(event.what)}", now)
            case "model":
                self._say("model", clean(f"{event.what} {event.answer}"), now)
            case _:
                self._say("note", clean(event.what), now)

    def _log_stage(self, event: Event, now: float, fresh: bool) -> None:
        reason = readable(event.details.get("reason", ""))
        name = stage_label(event.stage)
        if event.what == "begin":
            if fresh:
                self._say("stage", f"{name} begins", now)
        elif event.what == "end":
            self._say("stage", f"{name} done: {reason}", now)
        elif reason != self._last_wait:
            self._last_wait = reason
            self._say("stage", f"{name} waits: {reason}", now)

    def _say(self, kind: str, text: str, now: float) -> None:
        self._write(panels.line(self._board, kind, text, now) + "\n")

    def _write(self, text: str) -> None:
        """Write past rich's markup and wrapping, with what the output's encoding cannot say replaced."""
        encoding = self._console.encoding
        # A reader that went away (a closed pipe) must not stop the cycle it was looking at.
        with suppress(OSError, ValueError):
            self._console.file.write(text.encode(encoding, "replace").decode(encoding))
            self._console.file.flush()


def _standard_output() -> Console:
    """A log has no width of its own to be asked for."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)
