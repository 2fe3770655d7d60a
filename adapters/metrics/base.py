"""The metrics port.

Contract: a reading never raises for missing data (it returns a measurement without a value); it raises
`DependencyError` when the system cannot be asked. NaN and infinities are missing. Answers carry the vendor's sample
time, not ours. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery


class MetricsPort(Protocol):
    """Reads numbers and ranges of them."""

    name: str

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """Return the number now, or as it stood `at`.

        `n` of the answer is 1 when there is a value, else 0: what the value rests on is a query of its own.

        Raises:
            DependencyUnavailable, DependencyTimeout, DependencyLied: the system cannot be asked, is slow, or breaks
            its contract.
        """
        ...

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """Return the query evaluated at start, start+step, ... up to end, oldest first.

        Raises:
            DependencyUnavailable, DependencyTimeout, DependencyLied: as `read`.
            InvalidInput: `end` before `start`, or a step that is not positive.
        """
        ...

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """Return the values `label` has on `metric` at present, sorted; none when the metric is unknown."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError that says how to mend it."""
        ...
