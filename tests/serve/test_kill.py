"""An alert is never lost: the real command, killed at random under a stream of webhooks from senders that retry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.serve_kill import KillResult, run
from tests.contract.postgres import server

WEBHOOKS = 500
# Enough for one to fall into every part of a request; more are for the bench, which has the time for as many starts.
STREAM: dict[str, Any] = {"webhooks": WEBHOOKS, "rate": 60.0, "kill_every": (0.5, 3.0), "most_kills": 3}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def fresh() -> Iterator[Callable[[], str]]:
    with server() as made:
        yield made


def assert_clean(found: KillResult) -> None:
    assert (found.answered, found.kills > 1) == (WEBHOOKS, True)
    assert (found.lost, found.without, found.doubled) == ([], [], [])
    assert (found.waiting, found.open) == (0, 0)
    assert found.incidents == WEBHOOKS // 5
    assert found.fates["opened"] == found.cycles > 0


def test_every_incident_has_exactly_one_cycle_however_often_the_service_is_killed(tmp_path: Path) -> None:
    assert_clean(run(tmp_path, **STREAM))


def test_every_incident_has_exactly_one_cycle_on_postgresql_too(tmp_path: Path, fresh: Callable[[], str]) -> None:
    url = fresh()
    urls = {"store_url": url, "workflow_url": url, "audit_url": url}
    assert_clean(run(tmp_path, **STREAM, urls=urls))
