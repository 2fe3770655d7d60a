"""How much a class of action has earned: the lower confidence bound of its rate of verified success.

The bound is the exact one of Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of
the binomial", Biometrika 1934, one-sided: the rate at which a record at least as good would come about with probability
1 - confidence. It holds at every rate and every number of trials. Wilson's interval, read one-sided, does not: near a
rate of one, where this is used, it promises too much (Cai, "One-sided confidence intervals in discrete distributions",
Journal of Statistical Planning and Inference 2005). The honest price: fourteen successes without a failure for a bar of
0.8 at 95 %.

A record is looked at again after every cycle, so that the bound, which is for one look, is crossed by chance more
often than its level says; the demotion after a bad outcome, and the window beyond which nothing counts, limit what that
costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from domain.autonomy import Level, Standing, Trial
from learning.series import require

_STEPS = 60  # halvings of [0, 1]: beyond the last digit of a float


@dataclass(frozen=True, slots=True)
class Bar:
    """What a class has to reach, and for how long a bad outcome keeps it from acting.

    Args:
        bar: the lower bound has to be at least this.
        confidence: of the bound, one-sided.
        window: what is older counts no more.
        cool_down: how long after a harmful outcome people decide, whatever the record says.

    Raises:
        ValueError: a field is out of range.
    """

    bar: float
    confidence: float
    window: timedelta
    cool_down: timedelta

    def __post_init__(self) -> None:
        require(0 < self.bar < 1, "bar", self.bar, "between 0 and 1")
        require(0.5 < self.confidence < 1, "confidence", self.confidence, "between 0.5 and 1")
        require(self.window > timedelta(), "window", self.window, "longer than nothing")
        require(self.cool_down >= timedelta(), "cool_down", self.cool_down, "no less than nothing")


@lru_cache(maxsize=4096)
def lower_bound(successes: int, trials: int, confidence: float) -> float:
    """Return the one-sided lower bound of a rate; 0 without a success.

    Raises:
        ValueError: there are more successes than trials, or fewer than none.
    """
    require(0 <= successes <= trials, "successes", successes, "no more than the trials")
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_least(successes, trials, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def _at_least(successes: int, trials: int, rate: float) -> float:
    """The probability of so many successes or more."""
    if rate <= 0:
        return 0.0
    logs = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(
            logs
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * math.log(rate)
            + (trials - k) * math.log1p(-rate)
        )
        for k in range(successes, trials + 1)
    )


def earned(kind: str, environment: str, trials: Sequence[Trial], now: datetime, bar: Bar) -> Standing:
    """Return what a class has earned by its record of an environment: to act by itself, or to ask people.

    Trials of the future, of another class or environment, and those older than the window, do not count.
    """
    mine = [t for t in trials if (t.kind, t.environment) == (kind, environment) and now - bar.window < t.at <= now]
    successes = sum(trial.success for trial in mine)
    lower = lower_bound(successes, len(mine), bar.confidence)
    until = max((t.at + bar.cool_down for t in mine if t.harmful), default=None)
    figures = f"{successes} of {len(mine)} verified, at least {lower:.3f} with {bar.confidence:.0%}, bar {bar.bar:g}"
    if until is not None and now < until:
        level, reason = Level.APPROVE, f"a bad outcome: people decide until {until:%Y-%m-%d %H:%M} UTC ({figures})"
    elif lower >= bar.bar:
        level, reason, until = Level.ACT, f"earned: {figures}", None
    else:
        level, reason, until = Level.APPROVE, f"not earned: {figures}", None
    return Standing(
        kind=kind,
        environment=environment,
        level=level,
        earned=level,
        trials=len(mine),
        successes=successes,
        lower=lower,
        reason=reason,
        until=until,
    )
