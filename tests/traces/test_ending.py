"""The end of a process that traces, with the receiver down or mute, beside one that does not trace at all."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.clock import SystemClock
from tests.stubs.small_server import NOBODY

CLOCK = SystemClock()
# What the work of 500 calls, and closing, may take: a tenth of a second and at most the time for closing
# (EVERCREW_TRACES_FLUSH_S, one second) on a quiet machine. Waiting for the receiver, once a call or once at the end,
# would take a multiple of this: it is given ten seconds an attempt, and three attempts.
WORK_S, CLOSING_S = 20.0, 15.0


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a server that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def run(endpoint: str, folder: Path) -> tuple[float, float, float]:
    """Return the seconds of the work, of closing, and of the whole process."""
    before = CLOCK.monotonic()
    command = [sys.executable, "-m", "tests.traces.ending", endpoint, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert ended.stderr == ""
    worked, closed = map(float, ended.stdout.split())
    return worked, closed, CLOCK.monotonic() - before


def test_with_the_receiver_down_the_process_ends_at_once(tmp_path: Path) -> None:
    _, _, untraced = run("none", tmp_path)
    worked, closed, whole = run(NOBODY, tmp_path)
    assert worked < WORK_S
    assert closed < CLOSING_S
    # Starting takes seconds and varies; what tracing adds to it is bounded by what it was seen to take, and a reserve.
    assert whole < 2 * untraced + worked + closed + 15


def test_with_a_receiver_that_says_nothing_the_process_ends_in_its_time(tmp_path: Path, mute: str) -> None:
    worked, closed, _ = run(mute, tmp_path)
    assert worked < WORK_S
    assert closed < CLOSING_S
