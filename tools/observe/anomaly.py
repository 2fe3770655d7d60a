"""`anomaly_check`: is a signal really off its baseline, since when, and has it come back?"""

from __future__ import annotations

from datetime import UTC, datetime

from domain.measurement import Measurement
from domain.verdict import Verdict
from learning.anomaly import AnomalyDesign, Direction, detect_anomaly
from learning.change import locate_change
from tools.observe.reading import SignalReader
from tools.observe.signals import known_signal
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

# One-sided; with some looks a cycle it keeps false alarms below one in a hundred cycles.
Z_LIMIT = 2.6
MIN_SAMPLES = 50


class AnomalyArgs(Arguments):
    """A signal of the contract."""

    signal: str


class AnomalyResult(Result):
    """`anomalous` is None when it cannot be told; `onset` stands where a change was located.

    `z` is in standard errors, negative when the value fell.
    """

    signal: str
    anomalous: bool | None
    breached: bool | None
    current: float | None
    baseline: float | None
    relative_delta: float | None
    z: float | None
    onset: datetime | None
    reason: str


class AnomalyCheck(Tool[AnomalyArgs, AnomalyResult]):
    """Compares a signal with its baseline, with the noise of both, and looks for the moment of a change."""

    spec = ToolSpec(
        "anomaly_check", "Test whether a contract signal is significantly off its baseline right now, and since when."
    )
    input = AnomalyArgs
    output = AnomalyResult

    def __init__(self, reader: SignalReader) -> None:
        self._reader = reader

    def run(self, args: AnomalyArgs, call: Call) -> AnomalyResult:
        name = known_signal(self._reader, args.signal)
        reading = self._reader.reading(name, call.scope.alert_at)
        z, anomalous, reason = self._compared(name, reading.current, reading.baseline, call)
        # A mean of a few samples is within any limit by chance: that is no word that all is well.
        few = reading.current.stderr is not None and reading.current.n < MIN_SAMPLES
        return AnomalyResult(
            signal=name,
            anomalous=anomalous,
            breached=None if few and reading.breached is False else reading.breached,
            current=reading.current.value,
            baseline=reading.baseline.value,
            relative_delta=reading.relative_delta,
            z=z,
            onset=self._onset(name, call),
            reason=f"{reading.reason}; {reason}",
        )

    def _compared(
        self, name: str, current: Measurement, baseline: Measurement, call: Call
    ) -> tuple[float | None, bool | None, str]:
        if not (current.usable and baseline.usable):
            return None, None, "one of the two could not be measured"
        if current.stderr is None or baseline.stderr is None:
            return self._by_series(name, call)
        if min(current.n, baseline.n) < MIN_SAMPLES:
            return None, None, f"{current.n} and {baseline.n} samples, {MIN_SAMPLES} are needed"
        error = (current.stderr**2 + baseline.stderr**2) ** 0.5
        if error == 0:
            return None, None, "the samples do not vary"
        z = (current.finite() - baseline.finite()) / error
        worse = -z if self._reader.catalog[name].higher_is_better else z
        return z, worse >= Z_LIMIT, f"z {z:+.2f} of {current.n} against {baseline.n} samples, limit {Z_LIMIT}"

    def _by_series(self, name: str, call: Call) -> tuple[float | None, bool | None, str]:
        windows = self._reader.windows
        end = call.scope.alert_at - windows.gap
        now = self._reader.clock.now()
        before = self._reader.series(name, end - windows.baseline, end, windows.baseline / 24)
        recent = self._reader.series(name, now - windows.current, now, windows.current / 8)
        direction: Direction = "down" if self._reader.catalog[name].higher_is_better else "up"
        design = AnomalyDesign(direction=direction, min_baseline=8)
        judged = detect_anomaly(
            [v for _, v in before if v is not None], [v for _, v in recent if v is not None], design
        )
        z = judged.figures.get("z")
        anomalous = {Verdict.FAIL: True, Verdict.PASS: False}.get(judged.verdict)
        return (float(z) if z is not None else None), anomalous, judged.reason

    def _onset(self, name: str, call: Call) -> datetime | None:
        windows = self._reader.windows
        start = call.scope.alert_at - windows.gap - windows.baseline
        now = self._reader.clock.now()
        series = [(at, v) for at, v in self._reader.series(name, start, now, (now - start) / 60) if v is not None]
        change = locate_change([at.timestamp() for at, _ in series], [v for _, v in series])
        return datetime.fromtimestamp(change.onset, UTC) if change.onset is not None else None
