"""The store's tables as lines of JSON, from one database into another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.store.base import FlagRow, Recording, Tombstone
from adapters.store.dump import dump, load
from adapters.store.sqlalchemy import SqlStore
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable, IntegrityError
from tests.contract.postgres import server
from tests.support.setting import alert_of

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def filled(url: str) -> str:
    """Fill a store with a row of every table and return its cycle's identity."""
    store = SqlStore(url)
    cycle, _ = store.open_cycle(alert_of(Action.RETRAIN, FrozenClock()), AT)
    store.set_flag(FlagRow(name="kill", enabled=True, details={"why": "ü"}), by="A. Person", at=AT)
    store.entomb(Tombstone(digest="sha256:0", cycle_id=cycle.id, reason="worse", at=AT))
    for number in range(3):
        payload = {"n": number, "text": "line\nbreak"}
        store.record(Recording(cycle_id=cycle.id, place=f"p{number}", kind="tool", payload=payload))
    store.close()
    return cycle.id


def same(one: str, other: str, cycle_id: str) -> None:
    """Assert that two stores say the same."""
    a, b = SqlStore(one), SqlStore(other)
    assert a.cycle(cycle_id) == b.cycle(cycle_id) is not None
    assert a.flags() == b.flags()
    assert a.tombstone("sha256:0") == b.tombstone("sha256:0") is not None
    assert a.recordings(cycle_id) == b.recordings(cycle_id)
    a.close()
    b.close()


@pytest.fixture(scope="module")
def fresh_url() -> Iterator[Callable[[], str]]:
    with server() as fresh:
        yield fresh


def test_a_store_of_a_server_comes_back_on_another_and_numbers_on(fresh_url: Callable[[], str], tmp_path: Path) -> None:
    url, other = fresh_url(), fresh_url()
    cycle_id = filled(url)
    assert dump(url, tmp_path / "store.jsonl") == 7
    assert load(other, tmp_path / "store.jsonl")
    same(url, other, cycle_id)
    store = SqlStore(other)
    store.record(Recording(cycle_id=cycle_id, place="next", kind="tool", payload={}))
    assert [r.place for r in store.recordings(cycle_id)][-1] == "next"
    store.close()


def test_a_store_comes_back_on_sqlite_and_a_filled_one_is_left_alone(tmp_path: Path) -> None:
    url, other = f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db"
    cycle_id = filled(url)
    dump(url, tmp_path / "store.jsonl")
    assert load(other, tmp_path / "store.jsonl")
    same(url, other, cycle_id)
    assert not load(other, tmp_path / "store.jsonl")


@pytest.mark.parametrize("damage", [lambda t: t[:-20], lambda t: t.replace("recordings", "nothing"), lambda t: ""])
def test_a_damaged_dump_changes_nothing(damage: Callable[[str], str], tmp_path: Path) -> None:
    url, other = f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db"
    filled(url)
    file = tmp_path / "store.jsonl"
    dump(url, file)
    file.write_text(damage(file.read_text()))
    with pytest.raises(IntegrityError, match="damaged"):
        load(other, file)
    assert SqlStore(other).cycles() == []


def test_a_dump_of_other_tables_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "store.jsonl"
    file.write_text('{"revision": "9999"}\n')
    with pytest.raises(IntegrityError, match="revision 9999"):
        load(f"sqlite:///{tmp_path}/a.db", file)


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match="store_url"):
        dump("postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=1", tmp_path / "store.jsonl")
