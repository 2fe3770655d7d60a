"""How the A/B test and the watch behave over many simulated runs: the figures their documentation states."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from domain.verdict import Verdict
from learning.canary import WatchDesign, judge_gain, judge_watch
from learning.sequential import ArmSummary, SequentialDesign, compare_arms, lift_bounds
from learning.series import Floats, ar1_paths


@dataclass(frozen=True, slots=True)
class OperatingCharacteristics:
    """How the test behaves over many simulated experiments of one true lift."""

    true_lift: float
    looks: int
    users_per_arm: int
    runs: int
    detected: float  # share of runs whose lower bound exceeded zero at some look
    passed: float  # share of runs that ended in pass
    failed: float  # share of runs that ended in fail
    naive_detected: float  # share of runs in which |z| > 1.96 upward at some look
    mean_looks: float  # to the detection, or all of them


def operating_characteristics(
    true_lift: float,
    *,
    looks: int = 14,
    users_per_look: int = 500,
    mean: float = 0.72,
    sd: float = 0.149,
    runs: int = 2000,
    seed: int = 0,
    design: SequentialDesign | None = None,
) -> OperatingCharacteristics:
    """Simulate beta-distributed user scores in two equal arms, looked at `looks` times; all arms share one design.

    The default is the setting of a two-week test: mean 0.72, 14 looks of 500 users an arm.
    """
    planned = SequentialDesign(planned_users=2 * looks * users_per_look, split=0.5)
    design = design or planned
    rng = np.random.default_rng(seed)
    detected = passed = failed = naive = 0
    stop_looks = 0
    for _ in range(runs):
        base = _running(rng, mean, sd, looks, users_per_look)
        cand = _running(rng, mean * (1 + true_lift), sd, looks, users_per_look)
        found, ended, peeked = _one_run(base, cand, design)
        detected += found is not None
        stop_looks += looks if found is None else found
        passed += ended is Verdict.PASS
        failed += ended is Verdict.FAIL
        naive += peeked
    return OperatingCharacteristics(
        true_lift=true_lift,
        looks=looks,
        users_per_arm=looks * users_per_look,
        runs=runs,
        detected=detected / runs,
        passed=passed / runs,
        failed=failed / runs,
        naive_detected=naive / runs,
        mean_looks=stop_looks / runs,
    )


def _running(rng: np.random.Generator, mean: float, sd: float, looks: int, per_look: int) -> list[ArmSummary]:
    """Return the cumulative summary of an arm at every look."""
    size = mean * (1 - mean) / sd**2 - 1
    draws = rng.beta(mean * size, (1 - mean) * size, looks * per_look)
    at = np.arange(1, looks + 1) * per_look
    sums, squares = np.cumsum(draws)[at - 1], np.cumsum(draws**2)[at - 1]
    variances = (squares - sums**2 / at) / (at - 1)
    return [ArmSummary(float(s / n), float(v), int(n)) for s, v, n in zip(sums, variances, at, strict=True)]


def _one_run(
    base: list[ArmSummary], cand: list[ArmSummary], design: SequentialDesign
) -> tuple[int | None, Verdict, bool]:
    """Return the look of the first detection, the verdict at the end, and whether naive peeking would fire."""
    found: int | None = None
    ended = Verdict.INSUFFICIENT
    peeked = False
    for look, (b, c) in enumerate(zip(base, cand, strict=True), start=1):
        peeked = peeked or (c.mean - b.mean) > 1.96 * math.sqrt(b.variance / b.n + c.variance / c.n)
        bounds = lift_bounds(b, c, design)
        if bounds is None:
            continue
        if found is None and bounds.lower > 0:
            found = look
        if ended is Verdict.INSUFFICIENT:
            ended = compare_arms(b, c, design).verdict
    return found, ended, peeked


@dataclass(frozen=True, slots=True)
class RollbackRates:
    """Shares of simulated watches that were rolled back."""

    relative_shift: float
    rho: float
    runs: int
    sequential: float
    naive: float  # below the baseline at any look
    mean_look: float  # of the sequential rule's rollbacks; 0 when there were none


def false_rollback_rates(
    *,
    rho: float = 0.0,
    relative_shift: float = 0.0,
    looks: int = 14,
    n_baseline: int = 60,
    mean: float = 0.72,
    sd: float = 0.00666,
    runs: int = 1000,
    seed: int = 0,
) -> RollbackRates:
    """Simulate watches of a signal shifted by `relative_shift`, by the sequential rule and by the naive one.

    The default `sd` is that of a mean over 500 queries with standard deviation 0.149. The naive rule compares the
    running mean of each look with that of an equally long series of the old version, as an A/B dashboard shows it.
    """
    rng = np.random.default_rng(seed)
    design = WatchDesign(looks=looks, min_baseline=min(12, n_baseline))
    paths = mean + sd * ar1_paths(rng, runs, n_baseline + looks, rho)
    paths[:, n_baseline:] += mean * relative_shift
    old = mean + sd * ar1_paths(rng, runs, looks, rho)
    k = np.arange(1, looks + 1)
    naive = (np.cumsum(paths[:, n_baseline:], axis=1) / k < np.cumsum(old, axis=1) / k).any(axis=1)
    stops = [stop for row in paths if (stop := _first_rollback(row[:n_baseline], row[n_baseline:], design))]
    return RollbackRates(
        relative_shift=relative_shift,
        rho=rho,
        runs=runs,
        sequential=len(stops) / runs,
        naive=float(naive.mean()),
        mean_look=float(np.mean(stops)) if stops else 0.0,
    )


def _first_rollback(baseline: Floats, current: Floats, design: WatchDesign) -> int | None:
    for look in range(1, design.looks + 1):
        if judge_watch(baseline, current[:look], design).verdict is Verdict.FAIL:
            return look
    return None


def false_gain_rates(
    *,
    rho: float = 0.0,
    relative_shift: float = 0.0,
    looks: int = 12,
    n_baseline: int = 60,
    mean: float = 0.72,
    sd: float = 0.00666,
    runs: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return how often the end of a watch says better: by the bound of the gain, and by the bare difference of means.

    The signal is shifted by `relative_shift`; the default `sd` is that of `false_rollback_rates`.
    """
    rng = np.random.default_rng(seed)
    design = WatchDesign(looks=looks, min_baseline=min(12, n_baseline))
    paths = mean + sd * ar1_paths(rng, runs, n_baseline + looks, rho)
    paths[:, n_baseline:] += mean * relative_shift
    told = [judge_gain(row[:n_baseline], row[n_baseline:], design, sampling_sd=sd).verdict for row in paths]
    bare = paths[:, n_baseline:].mean(axis=1) > paths[:, :n_baseline].mean(axis=1)
    return told.count(Verdict.PASS) / runs, float(bare.mean())
