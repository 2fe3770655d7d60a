"""When a fault begins and ends: by the stages as the engine tells them, with a clock for when it tells no more."""

from __future__ import annotations

import threading
from collections.abc import Callable

from domain.events import Event

# A passing fault is over when a stage begins for the third time from it on, or after these seconds. One that shows at
# the very next call is given so many times as long for that: on a busy machine it would be over before it was met.
ATTEMPTS = 2
PASSES_S = 1.5
PATIENCE = 20


class Injector:
    """An observer of the office that hurts it once, when `stage` begins; `shows` says that the next call will fail."""

    def __init__(
        self,
        stage: str,
        hurt: Callable[[], object],
        heal: Callable[[], object],
        *,
        lasting: bool,
        shows: bool = False,
    ) -> None:
        self._stage = stage
        self._hurt = hurt
        self._heal = heal
        self._lasting = lasting
        self._longer = PATIENCE if shows else 0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.has_begun = threading.Event()
        self.ended = False
        self.begins = 0
        self.stages: set[str] = set()
        self.failed_calls = 0
        self.held = 0
        self.notes: list[str] = []

    def __call__(self, event: Event) -> None:
        """See `Observer`."""
        if event.kind == "stage" and event.what == "begin":
            self._stage_begins(event.stage)
        if self.begun and event.kind == "call" and event.answer != "done":
            self.failed_calls += 1
        if self.begun and event.what.startswith("held: "):
            self.held += 1
        if self.begun and event.kind not in ("call", "stage"):
            self.notes.append(event.what)

    @property
    def begun(self) -> bool:
        """Whether the stage has begun."""
        return self.has_begun.is_set()

    def close(self) -> None:
        """End what is still there."""
        if self._timer is not None:
            self._timer.cancel()
        self._over()

    def _stage_begins(self, stage: str) -> None:
        with self._lock:
            self.stages.add(stage)
            if self.begun:
                self.begins += 1
                over = not self._lasting and self.begins >= ATTEMPTS
            else:
                over = False
                if stage == self._stage:
                    self.has_begun.set()
                    self._hurt()
                    self._start_timer()
        if over:
            self._over()

    def _start_timer(self) -> None:
        if not self._lasting:
            self._timer = threading.Timer(PASSES_S, self._time_is_over)
            self._timer.daemon = True
            self._timer.start()

    def _time_is_over(self) -> None:
        if self._longer > 0 and not (self.failed_calls or self.held or self.ended):
            self._longer -= 1
            self._start_timer()
        else:
            self._over()

    def _over(self) -> None:
        with self._lock:
            if self.begun and not self.ended:
                self.ended = True
                self._heal()
