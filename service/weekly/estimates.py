"""Figures with their doubt: shares and means with 95 % intervals.

A share has the exact interval of Clopper and Pearson (Biometrika 1934), which holds at every rate and every number of
trials; a mean has Student's, and none from fewer than two values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NotRequired, TypedDict, Unpack

from learning.autonomy import lower_bound
from learning.quantiles import t_quantile
from service.weekly.report import Figure

CONFIDENCE = 0.95
_ONE_SIDED = (1 + CONFIDENCE) / 2


class Told(TypedDict):
    """What a figure is called, where it is from, and what it should be."""

    name: str
    label: str
    source: str
    target: NotRequired[str]


def share(count: int, trials: int, **told: Unpack[Told]) -> Figure:
    """Return a share of trials; without trials there is no value."""
    if trials == 0:
        return Figure(value=None, n=0, unit="share", **told)
    low = lower_bound(count, trials, _ONE_SIDED)
    high = 1 - lower_bound(trials - count, trials, _ONE_SIDED)
    return Figure(value=count / trials, n=trials, low=low, high=high, unit="share", **told)


def mean(values: Sequence[float], unit: str, **told: Unpack[Told]) -> Figure:
    """Return the mean of values; without any there is no value."""
    n = len(values)
    if n == 0:
        return Figure(value=None, n=0, unit=unit, **told)
    middle = math.fsum(values) / n
    if n < 2:
        return Figure(value=middle, n=n, unit=unit, **told)
    spread = math.sqrt(math.fsum((v - middle) ** 2 for v in values) / (n - 1))
    half = t_quantile(_ONE_SIDED, n - 1) * spread / math.sqrt(n)
    return Figure(value=middle, n=n, low=middle - half, high=middle + half, unit=unit, **told)


def count(value: int, **told: Unpack[Told]) -> Figure:
    """Return a number of things, which has no doubt: they were counted."""
    return Figure(value=float(value), n=value, unit="count", **told)
