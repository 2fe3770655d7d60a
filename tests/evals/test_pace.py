"""A faster day keeps every sample as large as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.clock import FrozenClock
from evals.outside import PROBES, PROBES_WHEN_SLOW, Outside, probes_for
from evals.pace import RATE, scaled_profile, write_profile
from policies.packaged import packaged_profile
from policies.profiles import load_profile

PLAIN = load_profile(packaged_profile("dev"), file="dev.yaml")


def test_windows_shrink_and_samples_stay() -> None:
    _, scaled = scaled_profile(0.4)
    assert scaled.measure.current == PLAIN.measure.current * 0.4
    assert scaled.ab.window == PLAIN.ab.window * 0.4
    assert scaled.watch.interval == PLAIN.watch.interval * 0.4
    assert scaled.ab.min_users_per_arm == PLAIN.ab.min_users_per_arm
    assert scaled.watch.min_samples == PLAIN.watch.min_samples
    assert scaled.signals["latency_p95_ms"] == PLAIN.signals["latency_p95_ms"]
    assert scaled.poll == PLAIN.poll
    assert scaled.budget == PLAIN.budget


def test_a_limit_that_is_a_time_shrinks_like_the_windows() -> None:
    plain, scaled = PLAIN.signals["etl_backlog_s"], scaled_profile(0.4)[1].signals["etl_backlog_s"]
    assert plain.limits is not None
    assert scaled.limits is not None
    assert [limit.threshold for limit in scaled.limits] == [limit.threshold * 0.4 for limit in plain.limits]


@pytest.mark.parametrize("scale", [0.25, 0.4, 0.5, 1.0])
def test_a_window_holds_as_many_sessions_at_any_pace(scale: float) -> None:
    _, scaled = scaled_profile(scale)
    held = scaled.measure.current.total_seconds() * RATE / scale
    assert held == pytest.approx(PLAIN.measure.current.total_seconds() * RATE)


def test_a_scaled_profile_is_written_as_a_file_that_loads(tmp_path: Path) -> None:
    path = write_profile(tmp_path / "profile", 0.4)
    assert load_profile(path.read_text(encoding="utf-8"), file=path.name) == scaled_profile(0.4)[1]


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5])
def test_time_does_not_stand_still_run_backwards_or_slow_down(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        scaled_profile(scale)


def test_a_slow_platform_is_asked_fewer_questions() -> None:
    assert probes_for("latency", PROBES) == PROBES_WHEN_SLOW
    assert probes_for("corpus_shift", PROBES) == PROBES >= 600


def test_before_anything_was_measured_there_are_no_levels_and_no_rate() -> None:
    outside = Outside(1, FrozenClock())
    assert outside.levels == {}
    assert outside.rate is None
