"""A lock keeps others out, and nobody for ever."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.locks import exclusive
from domain.clock import SystemClock
from domain.errors import DependencyTimeout

SHORT = timedelta(milliseconds=50)


def test_a_held_lock_is_waited_for_and_then_named(tmp_path: Path) -> None:
    clock = SystemClock()
    with (
        exclusive(tmp_path / "a" / "lock", holder="first", clock=clock, timeout=SHORT),
        pytest.raises(DependencyTimeout, match="second: its lock was held"),
        exclusive(tmp_path / "a" / "lock", holder="second", clock=clock, timeout=SHORT),
    ):
        pass
    with exclusive(tmp_path / "a" / "lock", holder="second", clock=clock, timeout=SHORT):
        assert (tmp_path / "a" / "lock").exists()


def test_a_dead_process_holds_no_lock(tmp_path: Path) -> None:
    script = "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "lock")], check=False).returncode == 9
    with exclusive(tmp_path / "lock", holder="next", clock=SystemClock(), timeout=SHORT):
        assert (tmp_path / "lock").exists()
