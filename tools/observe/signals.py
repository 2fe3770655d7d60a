"""`signal_snapshot`, `metric_query` and `metric_range`: how the contract's signals stand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from domain.errors import InvalidInput
from domain.measurement import Measurement
from domain.signal import LabelName, LabelValue
from tools.observe.reading import SignalReader
from tools.tool import Arguments, Call, Nothing, Result, Tool, ToolSpec


class ReadingView(Result):
    """One signal: its current and baseline values, sample sizes, relative change, and whether it is a breach."""

    current: float | None
    baseline: float | None
    relative_delta: float | None
    n_current: int
    n_baseline: int
    unit: str
    breached: bool | None
    reason: str


class Snapshot(Result):
    """All signals of the contract by name, and the names of those breached."""

    at: datetime
    readings: Mapping[str, ReadingView]
    breached: tuple[str, ...]
    unknown: tuple[str, ...]


class SignalSnapshot(Tool[Nothing, Snapshot]):
    """Reads every signal of the contract, now and at its baseline."""

    spec = ToolSpec(
        "signal_snapshot", "Read every contract signal now and at its baseline before the alert, with breaches."
    )
    input = Nothing
    output = Snapshot

    def __init__(self, reader: SignalReader) -> None:
        self._reader = reader

    def run(self, args: Nothing, call: Call) -> Snapshot:
        readings = {name: self._reader.reading(name, call.scope.alert_at) for name in self._reader.catalog}
        views = {
            name: ReadingView(
                current=r.current.value,
                baseline=r.baseline.value,
                relative_delta=r.relative_delta,
                n_current=r.current.n,
                n_baseline=r.baseline.n,
                unit=r.current.unit,
                breached=r.breached,
                reason=r.reason,
            )
            for name, r in readings.items()
        }
        return Snapshot(
            at=self._reader.clock.now(),
            readings=views,
            breached=tuple(sorted(name for name, v in views.items() if v.breached)),
            unknown=tuple(sorted(name for name, v in views.items() if v.breached is None)),
        )


class QueryArgs(Arguments):
    """A signal of the contract by name, over the last `window_s` seconds, optionally for one label value."""

    signal: str
    window_s: float = Field(default=60, gt=0, le=7 * 86400)
    labels: Mapping[LabelName, LabelValue] = Field(default_factory=dict, max_length=4)


class QueryResult(Result):
    signal: str
    measurement: Measurement


class MetricQuery(Tool[QueryArgs, QueryResult]):
    """Reads one signal over a window."""

    spec = ToolSpec("metric_query", "Read one contract signal over a window in seconds, optionally for label values.")
    input = QueryArgs
    output = QueryResult

    def __init__(self, reader: SignalReader) -> None:
        self._reader = reader

    def run(self, args: QueryArgs, call: Call) -> QueryResult:
        spec = known_signal(self._reader, args.signal)
        window = timedelta(seconds=args.window_s)
        return QueryResult(
            signal=args.signal, measurement=self._reader.measure(self._reader.catalog[spec], window, labels=args.labels)
        )


class RangeArgs(Arguments):
    """A signal from `seconds` before the alert until now, in at most 120 steps."""

    signal: str
    seconds: float = Field(default=120, gt=0, le=7 * 86400)
    steps: int = Field(default=60, ge=2, le=120)


class RangeResult(Result):
    """Times and values of equal length; None where the series has a gap."""

    signal: str
    times: tuple[datetime, ...]
    values: tuple[float | None, ...]


class MetricRange(Tool[RangeArgs, RangeResult]):
    """Reads one signal as a series around the alert."""

    spec = ToolSpec(
        "metric_range", "Read one contract signal as a series from some seconds before the alert until now."
    )
    input = RangeArgs
    output = RangeResult

    def __init__(self, reader: SignalReader) -> None:
        self._reader = reader

    def run(self, args: RangeArgs, call: Call) -> RangeResult:
        name = known_signal(self._reader, args.signal)
        end = self._reader.clock.now()
        start = call.scope.alert_at - timedelta(seconds=args.seconds)
        series = self._reader.series(name, start, end, (end - start) / args.steps)
        return RangeResult(signal=name, times=tuple(at for at, _ in series), values=tuple(value for _, value in series))


def known_signal(reader: SignalReader, signal: str) -> str:
    """Return `signal` when the contract has it.

    Raises:
        InvalidInput: it has not; the message lists those it has.
    """
    if signal not in reader.catalog:
        raise InvalidInput(
            "signal", f"{signal!r} is not a signal of the contract", f"Use one of: {', '.join(sorted(reader.catalog))}"
        )
    return signal
