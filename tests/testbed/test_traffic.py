"""Users over HTTP: what they send, how they are steered, when they end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from testbed import traffic
from testbed.clicks import ClickOutcome
from testbed.layout import Layout
from testbed.population import Intent
from testbed.servers.base import free_port
from testbed.universe import Control, Universe
from testbed.world import World
from tests.support.waiting import until
from tests.testbed.helpers import metric, report

INTENT = Intent("u00001", "read file", {"d1": 2}, "s")


def test_a_session_says_what_was_clicked_judged_and_felt() -> None:
    outcome = ClickOutcome(["d9", "d1"], "d1", "d1", 1, 5)
    counts = {"click": 0, "judgement": 0, "rating": 0, "thumb": 0}
    for number in range(1000):
        said = traffic.events("r", INTENT, outcome, np.random.default_rng(number))
        assert all(event["request_id"] == "r" and event["user_id"] == "u00001" for event in said)
        for event in said:
            counts[event["kind"]] += 1
            assert event["kind"] != "judgement" or (event["doc_id"], event["value"]) == ("d1", 2)
    assert counts["click"] == 2000
    assert counts["thumb"] == 1000
    assert counts["judgement"] == pytest.approx(900, abs=40)
    assert counts["rating"] == pytest.approx(500, abs=60)


def test_no_two_runs_send_the_same_sessions(
    made: tuple[Layout, str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    layout = Layout(tmp_path_factory.mktemp("runs"))
    layout.truth.mkdir()
    assert [traffic.next_run(layout) for _ in range(3)] == [traffic.RUN_STRIDE * n for n in (1, 2, 3)]


def test_the_control_file_is_replaced_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("control") / "traffic.json"
    wanted = Control(rate=12.5, new_share=0.4, burst=2, burst_sessions=30)
    wanted.write(path)
    assert Control.read(path) == wanted


def test_the_universe_is_read_back_as_it_was_written(
    made: tuple[Layout, str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    universe = Universe.load(made[0])
    assert not set(universe.known) & set(universe.new)
    assert {document.subject for document in universe.arrivals()} == set(universe.new)
    other = Layout(tmp_path_factory.mktemp("universe"))
    universe.save(other)
    assert Universe.load(other) == universe
    assert other.truth.stat().st_mode & 0o777 == 0o700


def test_users_come_at_the_rate_of_the_control_file_and_a_burst_comes_once(new_world: Callable[[], World]) -> None:
    world = new_world()
    url = world.start(rate=80)
    until(lambda: report(world.layout)["judged"] >= 60)
    world.control(burst=1, burst_sessions=40)
    until(lambda: report(world.layout)["hard"] == 40)
    sessions = report(world.layout)["sessions"]
    until(lambda: report(world.layout)["sessions"] > sessions + 40)
    assert report(world.layout)["hard"] == 40
    assert report(world.layout)["failed"] == 0
    assert metric(url, "search_satisfaction") > 3.5
    assert 0.3 < metric(url, "search_ndcg_at_10") <= 1.0


def test_users_go_when_the_service_is_gone(
    made: tuple[Layout, str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    layout = Layout(tmp_path_factory.mktemp("gone"))
    universe = Universe.load(made[0])
    universe.save(layout)
    Control(rate=500).write(layout.traffic)
    users = traffic.Traffic(layout, f"http://127.0.0.1:{free_port()}", universe, 0)

    import asyncio

    asyncio.run(users.run(20, patience=0.1))
    assert users.report.failed >= 25
    assert users.report.judged == 0
    assert "ConnectError" in users.report.last_error
