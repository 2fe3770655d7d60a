"""The ledger on SQLite and PostgreSQL: its contract, several processes at once, and what it does when it is hurt."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from adapters.database import Database
from adapters.ledger.base import Account, LedgerPort, State
from adapters.ledger.models import AccountRow, EntryRow, ReservationRow
from adapters.ledger.sqlalchemy import SqlLedger
from domain.budget import Amounts, Ceiling
from domain.clock import FrozenClock, SystemClock
from domain.errors import (
    BudgetExhausted,
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
)
from tests.contract.ledger_contract import BOTH, CYCLE, LedgerContract, money
from tests.contract.store_contract import at_once
from tests.integrations.ledger.drain import SHARED

ROOT = Path(__file__).resolve().parents[3]
SQLITE, POSTGRES = "ledger sqlite", "ledger postgresql"
TABLES = (EntryRow, ReservationRow, AccountRow)


def cell(adapter: str, case: str) -> pytest.MarkDecorator:
    return pytest.mark.integration(adapter, case)


def emptied(database: Database) -> Callable[[FrozenClock], LedgerPort]:
    """Return what gives an empty ledger on the database."""

    def make(clock: FrozenClock) -> LedgerPort:
        with database.begin(write=True) as connection:
            for table in TABLES:
                connection.execute(text(f"DELETE FROM {table.__tablename__}"))
        return SqlLedger(database, clock)

    return make


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def on_postgres(fresh_url: Callable[[], str]) -> Iterator[Database]:
    database = Database(fresh_url())
    yield database
    database.close()


@cell(SQLITE, "works")
class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def make(self, on_sqlite: Database) -> Callable[[FrozenClock], LedgerPort]:
        return emptied(on_sqlite)


@cell(POSTGRES, "works")
class TestPostgresLedger(LedgerContract):
    @pytest.fixture
    def make(self, on_postgres: Database) -> Callable[[FrozenClock], LedgerPort]:
        return emptied(on_postgres)


def _child(url: str, name: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.integrations.ledger.drain", url, name, *more]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _drained(url: str) -> tuple[list[int], SqlLedger, Database]:
    """Let three processes take until nothing is left, and return how often each was granted something."""
    database = Database(url)
    ledger = SqlLedger(database, SystemClock())
    ledger.reserve("first", (SHARED,), Amounts(usd_micros=1))
    over: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.01):
            standing = ledger.account(SHARED.name)
            if standing is not None and standing.used.usd_micros > 1000:
                over.append(standing.used.usd_micros)

    watcher = threading.Thread(target=look)
    watcher.start()
    # Each holds its first until the others hold theirs: none of them is through before another has begun.
    children = [_child(url, f"p{number}", "hold") for number in range(3)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline()
    granted = [1 + len(child.communicate(timeout=120)[0].splitlines()) for child in children]
    stop.set()
    watcher.join()
    assert over == []
    return granted, ledger, database


@cell(SQLITE, "works")
@pytest.mark.slow
def test_processes_on_one_file_never_spend_more_than_there_is(tmp_path: Path) -> None:
    granted, ledger, database = _drained(f"sqlite:///{tmp_path / 'ledger.db'}")
    standing = ledger.account(SHARED.name)
    assert standing is not None
    assert (standing.spent.usd_micros, standing.reserved.usd_micros) == (5 * sum(granted), 1)
    assert 993 < standing.used.usd_micros <= 1000
    assert ledger.faults() == []
    database.close()


@cell(POSTGRES, "works")
@pytest.mark.slow
def test_processes_on_one_server_never_spend_more_than_there_is(fresh_url: Callable[[], str]) -> None:
    granted, ledger, database = _drained(fresh_url())
    standing = ledger.account(SHARED.name)
    assert standing is not None
    assert (standing.spent.usd_micros, standing.reserved.usd_micros) == (5 * sum(granted), 1)
    assert all(number > 0 for number in granted)
    assert ledger.faults() == []
    database.close()


@cell(SQLITE, "works")
@pytest.mark.slow
def test_what_a_killed_process_held_stays_set_aside_and_can_be_charged_or_given_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with _child(url, "doomed", "hold") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "doomed.0\n"
        child.kill()
    database = Database(url)
    ledger = SqlLedger(database, SystemClock())
    (held,) = ledger.open_reservations()
    assert (held.key, held.holder, held.reserved) == ("doomed.0", "doomed", Amounts(usd_micros=7))
    ledger.settle(held.key)
    standing = ledger.account(SHARED.name)
    assert standing is not None
    assert (standing.reserved, standing.spent) == (Amounts(), Amounts(usd_micros=7))
    assert ledger.faults() == []
    database.close()


@cell(POSTGRES, "works")
def test_two_that_draw_on_the_same_accounts_in_another_order_do_not_wait_for_one_another(
    on_postgres: Database,
) -> None:
    ledger = emptied(on_postgres)(FrozenClock())
    accounts = [Account(name=f"a{n}", ceiling=Ceiling(tokens=10**6)) for n in range(4)]

    def take(number: int) -> None:
        chosen = accounts if number % 2 else accounts[::-1]
        for turn in range(10):
            key = f"k{number}.{turn}"
            ledger.reserve(key, chosen, Amounts(tokens=3))
            ledger.settle(key, Amounts(tokens=2))

    at_once(6, take)
    assert [s.spent.tokens for s in ledger.accounts()] == [120] * 4
    assert ledger.faults() == []


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@cell(SQLITE, "slow")
def test_a_ledger_that_stays_locked_sets_nothing_aside_and_works_again_afterwards(tmp_path: Path, url: str) -> None:
    database = Database(url, busy=timedelta(milliseconds=100))
    ledger = SqlLedger(database, SystemClock())
    holder = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DependencyTimeout, match="locked"):
        ledger.reserve("k", BOTH, money(1))
    holder.execute("ROLLBACK")
    holder.close()
    assert ledger.reservation("k") is None
    assert ledger.reserve("k", BOTH, money(1)).changed
    database.close()


@cell(POSTGRES, "slow")
def test_a_server_on_which_somebody_keeps_the_account_locked_is_given_up(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()
    database = Database(url, busy=timedelta(milliseconds=200))
    ledger = SqlLedger(database, SystemClock())
    ledger.reserve("k", BOTH, money(1))
    engine = create_engine(url)
    with engine.begin() as other:
        other.exec_driver_sql("SELECT * FROM ledger_accounts FOR UPDATE")
        with pytest.raises(DependencyTimeout, match="lock"):
            ledger.reserve("l", BOTH, money(1))
    engine.dispose()
    assert ledger.reservation("l") is None
    assert ledger.reserve("l", BOTH, money(1)).changed
    database.close()


@cell(SQLITE, "refused")
def test_a_ledger_that_cannot_be_written_sets_nothing_aside(tmp_path: Path, url: str) -> None:
    Database(url).close()
    database = Database(url)
    ledger = SqlLedger(database, SystemClock())
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
        connection.rollback()
    with pytest.raises(DependencyUnavailable):
        ledger.reserve("k", BOTH, money(1))
    assert ledger.reservation("k") is None
    database.close()


@cell(POSTGRES, "refused")
def test_a_server_that_goes_away_sets_nothing_aside(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()
    database = Database(url)
    ledger = SqlLedger(database, SystemClock())
    address = make_url(url)
    engine = create_engine(address.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as other:
        other.exec_driver_sql(f"DROP DATABASE {address.database} WITH (FORCE)")
    engine.dispose()
    with pytest.raises(DependencyUnavailable):
        ledger.reserve("k", BOTH, money(1))
    database.close()


def _hurt(url: str, change: str) -> SqlLedger:
    """Return a ledger with one open and one settled reservation, into which somebody else has written."""
    database = Database(url)
    ledger = SqlLedger(database, SystemClock())
    ledger.reserve("open", BOTH, money(10))
    ledger.reserve("done", BOTH, money(10))
    ledger.settle("done", money(4))
    with database.begin(write=True) as connection:
        connection.exec_driver_sql(change)
    return ledger


LIES = [
    ("UPDATE ledger_accounts SET spent_usd_micros = 0", "spent_usd_micros add up to 4"),
    ("UPDATE ledger_accounts SET reserved_usd_micros = 0", "0 usd_micros are set aside by its sum, 10 by key"),
    ("DELETE FROM ledger_entries WHERE kind = 'settle'", "its entries of spent_usd_micros add up to 0"),
    ("DELETE FROM ledger_reservations WHERE key = 'open'", "10 usd_micros are set aside by its sum, 0 by key"),
    ("UPDATE ledger_reservations SET state = 'settled'", "10 usd_micros are set aside by its sum, 0 by key"),
]


@cell(SQLITE, "lying")
@pytest.mark.parametrize(("change", "told"), LIES)
def test_sums_that_somebody_changed_are_found_and_named(url: str, change: str, told: str) -> None:
    ledger = _hurt(url, change)
    with pytest.raises(DependencyLied, match=told):
        ledger.check()
    assert any(CYCLE.name in fault for fault in ledger.faults())


@cell(POSTGRES, "lying")
@pytest.mark.parametrize(("change", "told"), LIES[:2])
def test_sums_that_somebody_changed_on_a_server_are_found_and_named(
    fresh_url: Callable[[], str], change: str, told: str
) -> None:
    with pytest.raises(DependencyLied, match=told):
        _hurt(fresh_url(), change).check()


@cell(SQLITE, "lying")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_reservations SET state = 'nonsense'",
        "UPDATE ledger_reservations SET accounts = 'no json'",
        "UPDATE ledger_reservations SET reserved_tokens = -5",
    ],
)
def test_a_row_that_cannot_be_one_of_ours_is_named_and_nothing_is_granted(url: str, change: str) -> None:
    ledger = _hurt(url, change)
    with pytest.raises(DependencyLied, match="cannot be read"):
        ledger.reserve("open", BOTH, money(20))
    state = ledger.reservation
    with pytest.raises(DependencyLied, match="cannot be read"):
        state("open")


@cell(SQLITE, "misconfigured")
@cell(POSTGRES, "misconfigured")
@pytest.mark.parametrize("url", ["mysql://u@h/x", "no address"])
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store_url"):
        SqlLedger(Database(url), SystemClock())


@cell(SQLITE, "misconfigured")
def test_a_database_that_lost_its_tables_is_named_with_the_remedy(url: str) -> None:
    database = Database(url)
    ledger = SqlLedger(database, SystemClock())
    with database.begin(write=True) as connection:
        connection.exec_driver_sql("DROP TABLE ledger_accounts")
    with pytest.raises(DependencyLied, match=r"no such table.*store_url"):
        ledger.reserve("k", BOTH, money(1))
    database.close()


@cell(SQLITE, "refused")
def test_what_was_refused_on_disk_is_still_refused_after_a_restart(url: str) -> None:
    first = Database(url)
    SqlLedger(first, SystemClock()).reserve("k", BOTH, money(100))
    first.close()
    second = Database(url)
    ledger = SqlLedger(second, SystemClock())
    with pytest.raises(BudgetExhausted):
        ledger.reserve("l", BOTH, money(1))
    known = ledger.reservation("k")
    assert known is not None
    assert known.state is State.OPEN
    second.close()
