"""Signals: what is watched, how it is read, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from domain.measurement import Measurement

LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,99}$")]
LabelValue = Annotated[str, Field(max_length=200)]


class Stat(StrEnum):
    """How a series becomes one number over the window."""

    LAST = "last"
    MEAN = "mean"
    RATE = "rate"  # per second, of a counter
    INCREASE = "increase"  # over the window, of a counter
    QUANTILE = "quantile"  # of a histogram named without its _bucket suffix


class SeriesQuery(BaseModel):
    """One number to be read from the metrics system; every vendor renders it in its own language.

    `window_s` is in seconds; `q` is the quantile in (0, 1) and needed with `Stat.QUANTILE`; several series that match
    are summed for counters and histograms and averaged for gauges.
    """

    model_config = ConfigDict(frozen=True)

    metric: str = Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    labels: Mapping[LabelName, str] = Field(default_factory=dict)
    stat: Stat = Stat.LAST
    q: float | None = Field(default=None, gt=0, lt=1)
    window_s: float = Field(default=60.0, gt=0)
    scale: float = 1.0
    unit: str = ""


class SignalSpec(BaseModel):
    """A named signal of the contract and the queries that measure it.

    `count` is the sample size the value rests on. With `mean` the value is a sum, to be divided by the count; `squares`
    is then the sum of squares, which gives the standard error. Windows of the queries are replaced by the caller's.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    unit: str
    value: SeriesQuery
    count: SeriesQuery | None = None
    squares: SeriesQuery | None = None
    mean: bool = False
    higher_is_better: bool


class SignalReading(BaseModel):
    """A signal now and at its baseline, and what the contract says of it."""

    model_config = ConfigDict(frozen=True)

    name: str
    current: Measurement
    baseline: Measurement
    breached: bool | None = None
    reason: str = ""

    @property
    def relative_delta(self) -> float | None:
        """Current over baseline minus one, or None when either is not usable or the baseline is zero."""
        if not (self.current.usable and self.baseline.usable) or self.baseline.finite() == 0:
            return None
        return self.current.finite() / self.baseline.finite() - 1
