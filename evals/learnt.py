"""How the statistical rules behave over simulated runs: what their error rates really are."""

from __future__ import annotations

from evals.sections import Cell, Section
from learning.characteristics import false_rollback_rates, operating_characteristics

# Enough for a standard error of 0.7 % on a rate of 5 %; the A/B runs are dearer, and their rates further from a limit.
WATCHES, TESTS = 1000, 300


def measure(watches: int = WATCHES, tests: int = TESTS) -> list[Section]:
    """Simulate watches and A/B tests."""
    return [_watch(watches), _ab(tests)]


def _watch(runs: int) -> Section:
    rows: list[dict[str, Cell]] = []
    for name, rho, shift in (
        ("an equal model", 0.0, 0.0),
        ("an equal model, autocorrelation 0.5", 0.5, 0.0),
        ("2 % worse", 0.0, -0.02),
        ("2 % worse, autocorrelation 0.5", 0.5, -0.02),
    ):
        found = false_rollback_rates(rho=rho, relative_shift=shift, runs=runs)
        rows.append(
            {
                "the promoted model is": name,
                "rolled back": found.sequential,
                "by 'below the baseline at any look'": found.naive,
                "mean look of a rollback": found.mean_look or None,
            }
        )
    return Section("watch", "the watch: shares of rollbacks", rows, f"14 looks, {runs} simulated watches; 0.05 stated")


def _ab(runs: int) -> Section:
    rows: list[dict[str, Cell]] = []
    for lift in (0.0, 0.01, 0.02, 0.04):
        found = operating_characteristics(lift, runs=runs)
        rows.append(
            {
                "true lift": f"{lift:+.0%}",
                "shown above zero": found.detected,
                "passed (at least +3 %)": found.passed,
                "ruled out": found.failed,
                "by peeking at |z| > 1.96": found.naive_detected,
                "mean looks": found.mean_looks,
            }
        )
    return Section("ab", "the A/B test: shares of runs", rows, f"14 looks of 500 users an arm, {runs} simulated tests")
