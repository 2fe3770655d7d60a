"""The SQL store: schema, history, several engines on one file, and what it does when the database is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

import adapters.accounts.models
import adapters.approvals.models
import adapters.autonomy.models
import adapters.conversations.models
import adapters.executors.models
import adapters.inbox.models
import adapters.ledger.models
import adapters.notices.models
import adapters.requests.models
import adapters.rules.models  # noqa: F401  its table is part of the schema
import adapters.store.migrations as migrations
from adapters.database import Database
from adapters.store.base import FlagRow, StorePort
from adapters.store.models import Base
from adapters.store.sqlalchemy import SqlStore
from domain.clock import SystemClock
from domain.errors import ConfigurationError, DependencyTimeout, DependencyUnavailable
from tests.contract.alerts import NOON, alert
from tests.contract.store_contract import StoreContract, at_once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite:///{path}")
    yield store
    store.close()


@pytest.mark.integration("store sqlite", "works")
def test_the_migrations_make_exactly_the_tables_of_the_models(store: SqlStore, path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert migrations.current_revision(connection) == migrations.HEAD
    engine.dispose()


@pytest.mark.integration("store sqlite", "works")
def test_the_head_revision_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


@pytest.mark.integration("store sqlite", "works")
def test_migrating_is_quick_and_a_second_time_does_nothing(store: SqlStore, path: Path, tmp_path: Path) -> None:
    clock = SystemClock()
    before = clock.monotonic()
    SqlStore(f"sqlite:///{tmp_path / 'fresh.db'}").close()
    assert clock.monotonic() - before < 20  # about 0.1 s on a quiet machine
    store.open_cycle(alert(), NOON)
    again = SqlStore(f"sqlite:///{path}")
    assert [cycle.id for cycle in again.cycles()] == ["si_2026_01_31_001"]
    again.close()


@pytest.mark.integration("store sqlite", "works")
def test_stores_that_start_at_once_on_a_new_file_migrate_it_once(path: Path) -> None:
    stores: list[SqlStore] = []
    at_once(4, lambda _number: stores.append(SqlStore(f"sqlite:///{path}")))
    assert len(stores) == 4
    for store in stores:
        assert store.cycles() == []
        store.close()


@pytest.mark.integration("store sqlite", "works")
def test_several_stores_on_one_file_open_one_cycle_a_target(path: Path) -> None:
    stores = [SqlStore(f"sqlite:///{path}") for _ in range(4)]
    answers: list[tuple[bool, str]] = []

    def work(number: int) -> None:
        cycle, new = stores[number % 4].open_cycle(alert(target=f"target-{number % 2}"), NOON)
        answers.append((new, cycle.id))

    at_once(8, work)
    assert sum(new for new, _ in answers) == 2
    assert {cycle for _, cycle in answers} == {"si_2026_01_31_001", "si_2026_01_31_002"}
    for store in stores:
        store.close()


@pytest.mark.integration("store sqlite", "works")
def test_the_flag_table_has_the_columns_that_were_promised(store: SqlStore, path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    columns = {column["name"] for column in inspect(engine).get_columns("feature_flags")}
    engine.dispose()
    assert columns == {"name", "enabled", "environment", "metadata"}


@pytest.mark.integration("store sqlite", "works")
def test_every_change_of_a_flag_is_kept_with_who_and_when(store: SqlStore, path: Path) -> None:
    for number, enabled in enumerate((True, False)):
        flag = FlagRow(name="kill_switch", enabled=enabled, details={"reason": f"r{number}"})
        store.set_flag(flag, by=f"operator-{number}", at=NOON + timedelta(minutes=number))
    with sqlite3.connect(path) as connection:
        kept = connection.execute("SELECT enabled, changed_by, metadata FROM flag_history ORDER BY id").fetchall()
    assert kept == [(1, "operator-0", '{"reason":"r0"}'), (0, "operator-1", '{"reason":"r1"}')]


@pytest.mark.integration("store sqlite", "refused")
def test_the_database_itself_forbids_two_open_cycles_of_a_target(store: SqlStore, path: Path) -> None:
    store.open_cycle(alert(), NOON)
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "INSERT INTO cycles SELECT 'si_2026_01_31_777', day, 777, target, environment, fingerprint, stage, is_open,"
            " opened_at, updated_at, action, outcome, reason, cancel_requested, alert, facts, timings FROM cycles"
        )


@pytest.mark.integration("store sqlite", "slow")
def test_a_database_that_stays_locked_is_unavailable_and_works_again_afterwards(path: Path) -> None:
    store = SqlStore(Database(f"sqlite:///{path}", busy=timedelta(milliseconds=100)))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DependencyTimeout, match=r"locked.*store_url"):
        store.open_cycle(alert(), NOON)
    assert store.cycles() == []
    holder.execute("ROLLBACK")
    holder.close()
    assert store.open_cycle(alert(), NOON)[1]
    store.close()


@pytest.mark.integration("store sqlite", "misconfigured")
@pytest.mark.parametrize("url", ["nonsense", "nodialect://host/db", "sqlite+nodriver:///x.db"])
def test_a_url_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store_url"):
        SqlStore(url)


@pytest.mark.integration("store sqlite", "misconfigured")
def test_a_place_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url in (f"sqlite:///{tmp_path}", f"sqlite:///{tmp_path / 'file' / 'store.db'}"):
        with pytest.raises(DependencyUnavailable, match="store"):
            SqlStore(url)


@pytest.mark.integration("store sqlite", "lying")
def test_a_file_that_is_no_database_is_unavailable(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DependencyUnavailable, match="not a database"):
        SqlStore(f"sqlite:///{path}")


@pytest.mark.integration("store sqlite", "works")
class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[StorePort]:
        store = SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
        yield store
        store.close()


@pytest.mark.integration("store postgresql", "works")
class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, fresh_url: Callable[[], str]) -> Iterator[StorePort]:
        store = SqlStore(fresh_url())
        yield store
        store.close()
