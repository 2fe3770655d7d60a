"""Stores whose database is down, locked, late, of another schema or damaged, and addresses that are none."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from adapters.database import Database
from adapters.store.sqlalchemy import SqlStore
from domain.clock import SystemClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.contract.alerts import NOON, alert

Fresh = Callable[[], str]
SQLITE, POSTGRES = "store sqlite", "store postgresql"
SHORT = timedelta(milliseconds=200)


def cell(adapter: str, case: str) -> pytest.MarkDecorator:
    return pytest.mark.integration(adapter, case)


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """Be another program on the same database."""
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@cell(SQLITE, "refused")
def test_a_database_on_a_full_disk_is_unavailable_and_nothing_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqlStore(f"sqlite:///{path}")
    store.open_cycle(alert(), NOON)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    database = Database(f"sqlite:///{path}")
    full = SqlStore(database)
    with database.engine.connect() as small:
        small.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        small.rollback()

    def fill() -> None:
        for number in range(200):
            full.open_cycle(alert(target=f"t{number}" * 30), NOON)

    with pytest.raises(DependencyUnavailable, match=r"is full.*Make room on the disk of store_url"):
        fill()
    assert full.cycles()
    full.close()


@cell(SQLITE, "lying")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE cycles SET stage = 'nonsense'", "a row cannot be read"),
        ("UPDATE cycles SET alert = '{\"target\": 1}'", "a row cannot be read"),
        ("UPDATE cycles SET facts = 'no json'", "a row cannot be read"),
        ("UPDATE cycles SET opened_at = 'yesterday'", "a row cannot be read"),
        ("DROP TABLE cycles", "no such table"),
        ("ALTER TABLE cycles DROP COLUMN reason", "no such column"),
    ],
)
def test_what_somebody_else_wrote_into_it_is_named_with_the_remedy(tmp_path: Path, change: str, told: str) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
    store.open_cycle(alert(), NOON)
    with opened(f"sqlite:///{tmp_path / 'store.db'}") as other:
        other.exec_driver_sql(change)
    with pytest.raises(DependencyLied, match=rf"{told}.*[Rr]estore a backup"):
        store.cycles()
    store.close()


@cell(SQLITE, "lying")
def test_a_schema_of_another_version_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    SqlStore(url).close()
    with opened(url) as other:
        other.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DependencyLied, match=r"schema 9999 is of another version.*store_url"):
        SqlStore(url)


@cell(SQLITE, "misconfigured")
def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    with opened(url) as other:
        other.exec_driver_sql("CREATE TABLE cycles (wheels INTEGER)")
    with pytest.raises(DependencyLied, match=r"already exists.*Name a database of its own.*store_url"):
        SqlStore(url)
    with opened(url) as other:
        assert other.exec_driver_sql("SELECT count(*) FROM cycles").scalar() == 0


@cell(SQLITE, "misconfigured")
@cell(POSTGRES, "misconfigured")
@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret@db:port/x", "mysql://u:s3cret@db/x", "postgresql+none://u:s3cret@db/x", "s3cret"]
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store_url") as told:
        SqlStore(url)
    assert "s3cret" not in str(told.value)


@cell(POSTGRES, "refused")
def test_a_server_that_is_down_says_what_to_start() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with pytest.raises(DependencyUnavailable, match=r"refused.*Start the server, or mend store_url"):
        SqlStore("postgresql://evercrew:s3cret@127.0.0.1:9/evercrew")


@cell(POSTGRES, "refused")
def test_a_user_that_may_not_make_tables_is_told_what_is_missing(fresh_url: Fresh) -> None:
    url = fresh_url()
    role = f"reader_{make_url(url).database}"
    with opened(url) as owner:
        owner.execute(text(f"CREATE ROLE {role} LOGIN"))
    with pytest.raises(DependencyUnavailable, match=r"permission denied.*Make its user the owner"):
        SqlStore(url.replace("evercrew@", f"{role}@"))


@cell(POSTGRES, "refused")
@cell(POSTGRES, "misconfigured")
@pytest.mark.parametrize("what", ["role", "database"])
def test_a_user_or_a_database_that_is_not_there_is_named(fresh_url: Fresh, what: str) -> None:
    url = make_url(fresh_url())
    gone = url.set(username="nobody_here") if what == "role" else url.set(database="nobody_here")
    with pytest.raises(DependencyUnavailable, match=rf"{what} \"nobody_here\" does not exist.*store_url"):
        SqlStore(gone.render_as_string(hide_password=False))


@cell(POSTGRES, "slow")
def test_a_lock_that_outlasts_the_wait_is_a_timeout_and_passes(fresh_url: Fresh) -> None:
    url = fresh_url()
    store = SqlStore(Database(url, busy=SHORT))
    with opened(url) as other:
        other.execute(text("LOCK TABLE cycles IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DependencyTimeout, match=r"lock timeout.*keeps store_url locked"):
            store.open_cycle(alert(), NOON)
    assert store.open_cycle(alert(), NOON)[1]
    store.close()


@cell(POSTGRES, "slow")
def test_a_server_that_takes_the_connection_and_says_nothing_is_a_timeout() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    clock = SystemClock()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        before = clock.monotonic()
        with pytest.raises(DependencyTimeout, match=r"timeout expired.*host of store_url"):
            SqlStore(f"postgresql://evercrew@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2")
    assert clock.monotonic() - before < 60


@cell(POSTGRES, "slow")
def test_a_server_that_went_away_is_told_and_found_again(fresh_url: Fresh) -> None:
    url = fresh_url()
    store = SqlStore(url)
    with opened(url) as other:
        other.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database()"
            )
        )
    assert store.open_cycle(alert(), NOON)[1]
    store.close()


@cell(POSTGRES, "lying")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE cycles SET stage = 'nonsense'", "a row cannot be read"),
        ("DROP TABLE cycles", "does not exist"),
        ("ALTER TABLE cycles DROP COLUMN reason", "does not exist"),
    ],
)
def test_what_somebody_else_did_to_it_is_named_with_the_remedy(fresh_url: Fresh, change: str, told: str) -> None:
    url = fresh_url()
    store = SqlStore(url)
    store.open_cycle(alert(), NOON)
    with opened(url) as other:
        other.execute(text(change))
    with pytest.raises(DependencyLied, match=rf"{told}.*[Rr]estore a backup"):
        store.cycles()
    store.close()


@cell(POSTGRES, "lying")
def test_a_newer_schema_on_the_server_is_left_alone(fresh_url: Fresh) -> None:
    url = fresh_url()
    SqlStore(url).close()
    with opened(url) as other:
        other.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DependencyLied, match="schema 9999 is of another version"):
        SqlStore(url)
