"""`metric_points`: a signal in steps that do not overlap, for tests that need independent points."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import AwareDatetime, Field

from domain.errors import InvalidInput
from domain.measurement import Measurement
from domain.signal import LabelName, LabelValue
from tools.observe.reading import SignalReader
from tools.observe.signals import known_signal
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class PointsArgs(Arguments):
    """`count` steps of `step_s` seconds, the last of which ends `end`."""

    signal: str
    end: AwareDatetime
    step_s: float = Field(gt=0, le=7 * 86400)
    count: int = Field(ge=1, le=500)
    labels: Mapping[LabelName, LabelValue] = Field(default_factory=dict, max_length=4)


class Points(Result):
    """Oldest first, one measurement a step."""

    signal: str
    points: tuple[Measurement, ...]


class MetricPoints(Tool[PointsArgs, Points]):
    """Measures a signal over each of several steps."""

    spec = ToolSpec("metric_points", "Measure a contract signal over several steps that do not overlap.")
    input = PointsArgs
    output = Points

    def __init__(self, reader: SignalReader) -> None:
        self._reader = reader

    def run(self, args: PointsArgs, call: Call) -> Points:
        spec = self._reader.catalog[known_signal(self._reader, args.signal)]
        step = timedelta(seconds=args.step_s)
        try:
            ends = [args.end - step * back for back in range(args.count - 1, -1, -1)]
        except OverflowError:
            raise InvalidInput(
                "end", f"{args.end} is before all times", "Give a time of this platform's life"
            ) from None
        return Points(
            signal=args.signal, points=tuple(self._reader.measure(spec, step, at, args.labels) for at in ends)
        )
