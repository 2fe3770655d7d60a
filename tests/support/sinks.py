"""Waiting for what a sink of traces takes."""

from __future__ import annotations

from typing import Any

from adapters.traces.base import TracesPort
from adapters.traces.pump import Pump
from adapters.traces.sink import SinkTraces
from adapters.traces.together import TogetherTraces
from domain.clock import SystemClock

PATIENCE_S = 120.0


def flushed(traces: TracesPort) -> None:
    """Flush until everything was sent or given up.

    One flush is as patient as a process at its end, which leaves a sink that takes a second: on a busy machine one that
    is well may take as long.
    """
    sinks = traces.sinks if isinstance(traces, TogetherTraces) else [traces]
    until = SystemClock().monotonic() + PATIENCE_S
    for sink in sinks:
        sink.flush()
        while isinstance(sink, SinkTraces) and sink.waiting:
            assert SystemClock().monotonic() < until, f"{sink.name} has {sink.waiting} spans left"
            sink.flush()


def drained(pump: Pump[Any]) -> None:
    """Flush a pump until everything was sent or given up."""
    until = SystemClock().monotonic() + PATIENCE_S
    pump.flush(PATIENCE_S)
    while pump.left:
        assert SystemClock().monotonic() < until, f"{pump.left} jobs are left"
        pump.flush(PATIENCE_S)
