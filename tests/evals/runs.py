"""Recorded runs, as an evaluation keeps them."""

from __future__ import annotations

from evals.expectations import EXPECTED, Level, Run

RIGHT = {fault: sorted(actions)[0] for fault, actions in EXPECTED.items()}


def a_run(fault: str = "none", action: str = "no_cycle", *, seed: int = 1, **changes: object) -> Run:
    """A run that ended with an action."""
    fields: dict[str, object] = {"outcome": "left_alone", "verified": True, **changes}
    return Run(fault=fault, seed=seed, action=action, **fields)  # type: ignore[arg-type]


def levels(degraded: float, final: float) -> dict[str, Level]:
    """The three levels of a run; healthy is as good as it gets."""
    return {
        "healthy": Level(0.8, 0.01, 600),
        "degraded": Level(degraded, 0.01, 600),
        "final": Level(final, 0.01, 600),
    }


def perfect(seeds: int = 5) -> list[Run]:
    """Every fault with some seeds, all right, and search better by a tenth after new subjects arrived."""
    return [
        a_run(fault, action, seed=seed, levels=levels(0.6, 0.66))
        for seed in range(1, seeds + 1)
        for fault, action in RIGHT.items()
    ]
