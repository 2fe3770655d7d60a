"""Trace stores, held to their contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from adapters.traces.base import TracesPort
from adapters.traces.memory import MemoryTraces
from adapters.traces.none import NoTraces
from tests.contract.traces_contract import Seen, TracesContract


class TestNoTraces(TracesContract):
    keeps = False

    @pytest.fixture
    def traces(self) -> TracesPort:
        return NoTraces()

    @pytest.fixture
    def seen(self, traces: TracesPort) -> Callable[[], dict[str, Seen]]:
        return dict


class TestMemoryTraces(TracesContract):
    @pytest.fixture
    def traces(self) -> TracesPort:
        return MemoryTraces()

    @pytest.fixture
    def seen(self, traces: TracesPort) -> Callable[[], dict[str, Seen]]:
        kept = cast(MemoryTraces, traces).spans
        return lambda: {
            span.name: Seen(
                name=span.name,
                kind=span.kind,
                parent=span.parent,
                inputs=span.inputs,
                outputs=span.outputs,
                error=span.error,
            )
            for span in kept
        }
