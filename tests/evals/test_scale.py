"""The scale bench at a small size: its storm, its own oracle, and what its counting would notice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.database import Database
from adapters.inbox.base import Fate
from adapters.inbox.sqlalchemy import SqlInbox
from adapters.store.sqlalchemy import SqlStore
from domain.clock import SystemClock
from domain.stage import Stage
from evals import scale_storm
from evals.scale_bodies import opens, storm
from evals.scale_fleet import FleetResult
from evals.scale_office import profile
from evals.scale_sites import routing, site
from testbed.servers.base import ServerError
from testbed.servers.postgres import fresh_database
from tests.contract.inbox_contract import letter
from tests.contract.postgres import server

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with server() as fresh:
        yield fresh()


def at(*letters: tuple[str, int]) -> list[tuple[str, datetime]]:
    return [(status, NOON + timedelta(seconds=start)) for status, start in letters]


def test_the_oracle_knows_when_an_incident_needs_a_cycle() -> None:
    assert opens(at(("firing", 0)))
    assert opens(at(("resolved", 0), ("firing", 60)))
    assert not opens(at(("resolved", 0), ("firing", 0)))
    assert not opens(at(("resolved", 60), ("firing", 0)))
    assert not opens([])


def test_a_storm_is_the_same_for_the_same_seed_and_counts_its_alerts() -> None:
    first, second = (storm(200, targets=4, incidents=12, seed=3) for _ in range(2))
    assert first == second
    assert len(first.bodies) == 200
    assert first.alerts > 200
    assert first != storm(200, targets=4, incidents=12, seed=4)


def test_parts_of_a_target_are_routed_and_share_its_lane() -> None:
    assert site(1, 2) in routing(3, 4).targets
    assert letter(target=site(1, 2)).lane == letter(target=site(1, 3)).lane == "dev/target-01"
    assert profile().max_cycles_per_day > 1000


@pytest.mark.slow
def test_a_small_storm_loses_nothing_and_gives_each_incident_its_cycle(postgres: str) -> None:
    with fresh_database(postgres) as url:
        result = scale_storm.run(url, bodies=400, targets=4, incidents=24, seed=2)
    assert result.ok, result
    assert result.accepted == result.alerts
    assert result.cycles > 12
    assert set(result.fates) >= {"opened", "duplicate", "resolved", "stale"}


def test_a_lost_letter_and_a_cycle_too_many_are_noticed(postgres: str) -> None:
    made = storm(60, targets=2, incidents=6, seed=5)
    with fresh_database(postgres) as url:
        database = Database(url)
        inbox, store = SqlInbox(database, SystemClock()), SqlStore(database)
        inbox.put([letter("f1"), letter("f1")])
        for _ in range(2):
            cycle, _new = store.open_cycle(letter("f1").alert, NOON)
            store.save(cycle.model_copy(update={"stage": Stage.STOPPED}))
        database.close()
        counted = scale_storm._counted(url, made, 2, 1.0, 1.0, [0.1])
    assert not counted.ok
    assert counted.lost == made.alerts - 2
    assert counted.doubled == ["f1"]
    assert counted.fates.get(Fate.OPENED.value, 0) == 0


def test_a_fleet_that_lost_or_doubled_anything_is_not_clean() -> None:
    good = FleetResult(1, 1, 1, 0, 1.0, 1.0, 1, 2, [], [], [], 10, 0)
    assert good.ok
    for broken in ({"duplicates": ["commit"]}, {"lost": ["target-00"]}, {"unverified": ["si_1"]}):
        assert not FleetResult(**{**vars(good), **broken}).ok


def test_a_server_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(ServerError, match="--postgres"),
        fresh_database("postgresql://nobody@127.0.0.1:1/none"),
    ):
        raise AssertionError
