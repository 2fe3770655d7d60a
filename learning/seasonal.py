"""What is usual at this hour: a baseline from the same window of the weeks before.

Traffic has its days and nights. Compared with the stretch just before it, a Monday morning is an anomaly every week;
compared with earlier Monday mornings it is none. The median of the weeks is taken, so that one week that was an
incident itself does not become the measure (its breakdown point is a half; the mean's is none). The standard error of
a median of independent values with a normal spread is sqrt(pi / 2) that of their mean (Kendall and Stuart, The
Advanced Theory of Statistics, vol. 1, 14.12).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from domain.errors import InvalidInput
from domain.measurement import Measurement

SEASON = timedelta(days=7)
FEWEST = 2


@dataclass(frozen=True)
class SeasonalBaseline:
    """Reads a baseline from the last `weeks` seasons; `statistic` says how they become one number.

    Raises:
        InvalidInput: too few weeks to be a baseline.
    """

    weeks: int = 4
    statistic: Literal["median", "mean"] = "median"
    season: timedelta = SEASON

    def __post_init__(self) -> None:
        if self.weeks < FEWEST or self.season <= timedelta():
            raise InvalidInput("weeks", f"{self.weeks} of {self.season} are no baseline", f"Take at least {FEWEST}")

    def moments(self, at: datetime) -> list[datetime]:
        """Return the same moment of the seasons before, the latest first."""
        return [at - number * self.season for number in range(1, self.weeks + 1)]

    def read(self, measure: Callable[[datetime], Measurement], at: datetime) -> Measurement:
        """Return what is usual at `at`, where `measure` reads the signal over one window that ends at a moment."""
        return self.combined([measure(moment) for moment in self.moments(at)], at)

    def combined(self, seasons: Sequence[Measurement], at: datetime) -> Measurement:
        """Return the seasons as one measurement: `n` is the number of weeks with data.

        It is missing with fewer than two, or when their units differ. `stderr` is that of the statistic over the weeks.
        """
        usable = [one for one in seasons if one.usable]
        unit = usable[0].unit if usable else (seasons[0].unit if seasons else "")
        if len(usable) < FEWEST or any(one.unit != unit for one in usable):
            return Measurement.missing(unit, _source(usable), at)
        values = [one.finite() for one in usable]
        value = statistics.median(values) if self.statistic == "median" else statistics.fmean(values)
        error = statistics.stdev(values) / math.sqrt(len(values))
        return Measurement(
            value=value,
            unit=unit,
            n=len(values),
            window=usable[0].window,
            source=_source(usable),
            at=at,
            stderr=error * math.sqrt(math.pi / 2) if self.statistic == "median" else error,
        )


def _source(usable: Sequence[Measurement]) -> str:
    return f"{usable[0].source} (same time of {len(usable)} weeks)" if usable else "seasonal"
