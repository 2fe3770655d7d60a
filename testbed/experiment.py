"""User-level statistics of the variants that serve now. They start anew when the variants change."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from testbed.judged import Judgement
from testbed.metrics import Rows
from testbed.values import Variant

LATENCIES = 4000


@dataclass(slots=True)
class _Arm:
    digest: str
    exposed: set[str] = field(default_factory=set)
    requests: int = 0
    cost: float = 0.0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    ratings: list[float] = field(default_factory=list)
    per_user: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))

    def user_means(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        sums = np.array(list(self.per_user.values()), dtype=np.float64).reshape(-1, 2)
        return np.asarray(sums[:, 0] / sums[:, 1], dtype=np.float64)


class Experiment:
    """Statistics by variant since `revision`, the revision that set the variants."""

    def __init__(self, revision: str, variants: Iterable[Variant]) -> None:
        self.revision = revision
        self._arms = {variant.name: _Arm(variant.digest) for variant in variants}
        self._judged: list[Judgement] = []

    def served(self, variant: str, user_id: str, seconds: float, cost: float) -> None:
        """Count a search of a user: wall time in seconds, cost in USD."""
        arm = self._arms.get(variant)
        if arm is None:
            return
        arm.exposed.add(user_id)
        arm.requests += 1
        arm.cost += cost
        arm.latencies.append(seconds)

    def rated(self, variant: str, digest: str, value: float) -> None:
        """Take in a rating of 1 to 5."""
        arm = self._arms.get(variant)
        if arm is not None and arm.digest == digest:
            arm.ratings.append(value)

    def judged(self, row: Judgement) -> None:
        """Take in a judged session."""
        arm = self._arms.get(row.variant)
        if arm is None or arm.digest != row.digest:
            return
        self._judged.append(row)
        entry = arm.per_user[row.user_id]
        entry[0] += row.ndcg
        entry[1] += 1.0

    def retain(self, kept: Iterable[Judgement]) -> None:
        """Start the judged statistics again from these rows (after a quarantine)."""
        rows = list(kept)
        self._judged = []
        for arm in self._arms.values():
            arm.per_user.clear()
        for row in rows:
            self.judged(row)

    @property
    def judged_rows(self) -> list[Judgement]:
        """The judged sessions behind the statistics."""
        return list(self._judged)

    def rows(self, figure: str) -> Rows:
        """(variant, digest, revision) and the value of one figure, for every variant where it can be said."""
        for name, arm in self._arms.items():
            value = _FIGURES[figure](arm)
            if value is not None:
                yield (name, arm.digest, self.revision), value


def _mean(arm: _Arm) -> float | None:
    return float(arm.user_means().mean()) if arm.per_user else None


def _variance(arm: _Arm) -> float | None:
    return float(arm.user_means().var(ddof=1)) if len(arm.per_user) > 1 else None


def _p95(arm: _Arm) -> float | None:
    return float(np.percentile(np.fromiter(arm.latencies, dtype=np.float64), 95)) if arm.latencies else None


_FIGURES: dict[str, Callable[[_Arm], float | None]] = {
    "experiment_users": lambda arm: float(len(arm.per_user)),
    "experiment_exposed_users": lambda arm: float(len(arm.exposed)),
    "experiment_user_ndcg_mean": _mean,
    "experiment_user_ndcg_variance": _variance,
    "experiment_latency_p95_seconds": _p95,
    "experiment_satisfaction_mean": lambda arm: sum(arm.ratings) / len(arm.ratings) if arm.ratings else None,
    "experiment_cost_per_1k": lambda arm: arm.cost / arm.requests * 1000 if arm.requests else None,
}
FIGURES = tuple(_FIGURES)
