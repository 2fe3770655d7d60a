"""Numbers carry their doubt: a value with its unit, sample size, window, source and time."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict


class Measurement(BaseModel):
    """One measured number.

    `value` is None when nothing was measured; missing is not zero. `n` is the sample size the value rests on.
    `stderr` is the standard error of the value in its own unit, where it is known.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=True)

    value: float | None
    unit: str
    n: int = 0
    window: timedelta | None = None
    source: str = ""
    at: datetime | None = None
    stderr: float | None = None

    @property
    def usable(self) -> bool:
        """Whether a gate may look at it: a finite value that rests on at least one sample."""
        return self.value is not None and math.isfinite(self.value) and self.n > 0

    def finite(self) -> float:
        """Return the value.

        Raises:
            ValueError: the measurement is not usable.
        """
        if self.value is None or not self.usable:
            raise ValueError(
                f"no usable value from {self.source or 'an unnamed source'} (value {self.value}, n {self.n})"
            )
        return self.value

    @classmethod
    def missing(cls, unit: str, source: str, at: datetime | None = None) -> Measurement:
        """Return the measurement of nothing."""
        return cls(value=None, unit=unit, n=0, source=source, at=at)


class Point(BaseModel):
    """One sample of a series; `value` None where the series has a gap."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    value: float | None
