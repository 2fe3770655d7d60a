"""The process that tells people is killed again and again: everything is told, and hardly anything twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from adapters.database import Database
from adapters.notices.base import NewNotice
from adapters.notices.sqlalchemy import SqlNotices
from domain.clock import SystemClock
from tests.stubs.small_server import Said, SmallServer
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NOTICES, KILLS = 60, 4


def _has_told(slack: SmallServer, wanted: int, child: subprocess.Popen[bytes]) -> bool:
    return len(slack.seen) >= wanted or child.poll() is not None


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_and_repeats_at_most_what_was_under_way(tmp_path: Path) -> None:
    clock, dice = SystemClock(), random.Random(11)
    database = Database(f"sqlite:///{tmp_path / 'store.db'}")
    outbox = SqlNotices(database)
    now = clock.now()
    told = [
        NewNotice(channel="slack", key=f"k{n}", kind="outcome", severity="info", title=f"n{n}", body="b", due_at=now)
        for n in range(NOTICES)
    ]
    outbox.put(told, now=now)
    with SmallServer(lambda _: Said(200, b"ok", "text/plain"), delay=0.01) as slack:
        command = [sys.executable, "-m", "tests.notify.child", str(tmp_path), f"{slack.url}/services/x"]
        for _ in range(KILLS):
            seen = len(slack.seen)
            child = subprocess.Popen(command, cwd=ROOT)
            wanted = seen + dice.randint(1, 8)
            until(partial(_has_told, slack, wanted, child))
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode == 0
        received = Counter(asked.json()["blocks"][0]["text"]["text"].split()[-1] for asked in slack.seen)
    assert set(received) == {f"n{n}" for n in range(NOTICES)}
    assert sum(received.values()) - NOTICES <= KILLS
    assert outbox.counts().model_dump(include={"waiting", "sent", "dead"}) == {"waiting": 0, "sent": NOTICES, "dead": 0}
    database.close()
