"""The bench of `evercrew serve` finds what it is there to find."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evals.serve import ServeResult
from evals.serve_kill import KillResult, _bodies
from evals.serve_load import Load, median_ms

CLEAN = KillResult(
    webhooks=10,
    answered=10,
    attempts=12,
    kills=2,
    seconds=1.0,
    incidents=2,
    cycles=1,
    lost=[],
    without=[],
    doubled=[],
    open=0,
    waiting=0,
)
LOAD = Load(answered=100, failed=0, seconds=2.0, p50_ms=1.0, p99_ms=2.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"answered": 9},
        {"kills": 0},
        {"lost": ["w1"]},
        {"without": ["f1"]},
        {"doubled": ["f1"]},
        {"open": 1},
        {"waiting": 1},
    ],
)
def test_a_run_that_lost_or_doubled_something_is_not_clean(wrong: dict[str, Any]) -> None:
    assert CLEAN.ok
    assert not replace(CLEAN, **wrong).ok


def test_each_incident_is_told_of_several_times_in_bodies_of_their_own() -> None:
    made = _bodies(20, datetime(2026, 1, 31, tzinfo=UTC))
    assert len({number for number, _, _ in made}) == 20
    names = [name for _, name, _ in made]
    assert {names.count(name) for name in names} == {5}
    assert all(number.encode() in body and name.encode() in body for number, name, body in made)


def test_a_load_says_how_many_a_second_and_quantiles_are_those_of_the_times() -> None:
    assert LOAD.per_second == 50
    assert median_ms([0.003, 0.001, 0.002]) == 2.0
    assert median_ms([n / 1000 for n in range(100)], 0.99) == 99.0
    assert median_ms([]) == 0.0


def test_a_bench_whose_webhooks_are_not_on_disk_is_not_well() -> None:
    well = ServeResult(
        cpu_ms=0.5,
        alone_cpu_ms=0.4,
        floor_cpu_ms=0.2,
        alone=LOAD,
        accepted=LOAD,
        signed=LOAD,
        floor=LOAD,
        flush_ms=1.0,
        flushes_per_second=100.0,
        kept=True,
        start_s=1.0,
    )
    assert well.ok
    assert not replace(well, kept=False).ok
    assert not replace(well, signed=replace(LOAD, failed=1)).ok
