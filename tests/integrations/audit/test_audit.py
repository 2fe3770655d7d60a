"""The audit chain on SQLite: nothing can be changed unnoticed, nothing is recorded halfway, writers share a flush."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.audit.base import ChainPort
from adapters.audit.sqlite import SqliteAudit
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, ChainBroken
from domain.receipt import RecordKind
from tests.contract.audit_contract import AuditContract, entry
from tests.contract.store_contract import at_once
from tests.support.waiting import until

RECORDS = 6
COLUMNS = ("sequence", "kind", "cycle_id", "key", "body", "hash")
TRIGGERS = ("records_no_update", "records_no_delete", "head_no_delete", "head_only_grows")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain of six records in one file, the log folded in."""
    path = tmp_path_factory.mktemp("audit") / "audit.db"
    audit = SqliteAudit(path, FrozenClock())
    for number in range(RECORDS):
        kind = RecordKind.OUTCOME if number % 2 else RecordKind.INTENT
        audit.append(entry(kind, key=f"k{number // 2}", text="naïve ✓", number=number))
    audit.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def tampered(whole: Path, change: Callable[[sqlite3.Connection], object]) -> SqliteAudit:
    """Return the chain over a copy that somebody with the file in hands has changed."""
    copy = whole.with_name("tampered.db")
    for suffix in ("", "-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(whole, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER {trigger}")
        change(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return SqliteAudit(copy, FrozenClock())


def broken(whole: Path, change: Callable[[sqlite3.Connection], object]) -> str:
    """Return what verify says of the changed copy."""
    audit = tampered(whole, change)
    with pytest.raises(ChainBroken) as told:
        audit.verify()
    audit.close()
    return str(told.value)


@pytest.mark.integration("audit", "works")
def test_the_untouched_copy_verifies(whole: Path) -> None:
    audit = tampered(whole, lambda _connection: None)
    assert audit.verify() == RECORDS
    audit.close()


@pytest.mark.integration("audit", "lying")
@given(
    record=st.integers(1, RECORDS),
    column=st.sampled_from(COLUMNS),
    place=st.integers(0, 10_000),
    flip=st.integers(1, 255),
)
def test_any_changed_byte_of_any_field_of_any_record_is_named(
    whole: Path, record: int, column: str, place: int, flip: int
) -> None:
    def change(connection: sqlite3.Connection) -> None:
        connection.text_factory = bytes
        (old,) = connection.execute(f"SELECT {column} FROM records WHERE sequence = ?", (record,)).fetchone()
        new: int | bytes
        if isinstance(old, int):
            new = old + flip + RECORDS
        else:
            at = place % len(old)
            new = old[:at] + bytes([old[at] ^ flip]) + old[at + 1 :]
        cast = "?" if isinstance(new, int) else "CAST(? AS TEXT)"
        connection.execute(f"UPDATE records SET {column} = {cast} WHERE sequence = ?", (new, record))

    assert f"record {record}" in broken(whole, change)


@pytest.mark.integration("audit", "lying")
@given(record=st.integers(1, RECORDS), place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_byte_changed_in_the_file_itself_is_noticed(whole: Path, record: int, place: int, flip: int) -> None:
    with closing(sqlite3.connect(whole)) as connection:
        (body,) = connection.execute("SELECT body FROM records WHERE sequence = ?", (record,)).fetchone()
    content = whole.read_bytes()
    start, length = content.index(body.encode()), len(body.encode())
    assert content.count(body.encode()) == 1
    at = start + place % length
    copy = whole.with_name("bytes.db")
    for suffix in ("-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    copy.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
    audit = SqliteAudit(copy, FrozenClock())
    with pytest.raises(ChainBroken, match=f"record {record}"):
        audit.verify()
    audit.close()


@pytest.mark.integration("audit", "lying")
@pytest.mark.parametrize("record", [1, 3, RECORDS])
def test_a_deleted_record_is_missed_wherever_it_stood(whole: Path, record: int) -> None:
    told = broken(whole, lambda connection: connection.execute(f"DELETE FROM records WHERE sequence = {record}"))
    assert f"record {record} is missing" in told


@pytest.mark.integration("audit", "lying")
def test_a_record_cut_out_with_the_rest_moved_up_is_noticed(whole: Path) -> None:
    def change(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM records WHERE sequence = 3")
        connection.execute("UPDATE records SET sequence = sequence - 1 WHERE sequence > 3")
        connection.execute("UPDATE head SET count = count - 1")

    assert "record 3" in broken(whole, change)


@pytest.mark.integration("audit", "lying")
def test_an_emptied_chain_is_noticed(whole: Path) -> None:
    assert "record 1 is missing" in broken(whole, lambda c: c.execute("DELETE FROM records"))


@pytest.mark.integration("audit", "lying")
def test_a_record_added_behind_the_head_is_noticed(whole: Path) -> None:
    def change(connection: sqlite3.Connection) -> None:
        audit = SqliteAudit(Path(connection.execute("PRAGMA database_list").fetchone()[2]), FrozenClock())
        audit.append(entry(key="forged"))
        audit.close()
        connection.execute("DROP TRIGGER head_only_grows")
        connection.execute(f"UPDATE head SET count = {RECORDS}")

    assert f"record {RECORDS + 1} is beyond the head" in broken(whole, change)


@pytest.mark.integration("audit", "lying")
@pytest.mark.parametrize(
    ("statement", "told"),
    [("UPDATE head SET hash = 'x'", "head"), ("DELETE FROM head", "head"), ("UPDATE head SET count = 9", "record 7")],
)
def test_a_changed_head_is_noticed(whole: Path, statement: str, told: str) -> None:
    assert told in broken(whole, lambda connection: connection.execute(statement))


@pytest.mark.integration("audit", "refused")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = '{}'",
        "DELETE FROM records",
        "DELETE FROM head",
        "UPDATE head SET count = 0",
        "INSERT OR REPLACE INTO records VALUES (1, 'note', 'c', 'k', '{}', 'h')",
    ],
)
def test_the_database_refuses_to_change_or_drop_a_record(tmp_path: Path, statement: str) -> None:
    audit = SqliteAudit(tmp_path / "audit.db", FrozenClock())
    audit.append(entry())
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA recursive_triggers=ON")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    assert audit.verify() == 1
    audit.close()


@pytest.mark.integration("audit", "slow")
def test_a_lock_that_outlasts_the_wait_is_unavailable_and_nothing_is_recorded(tmp_path: Path) -> None:
    audit = SqliteAudit(tmp_path / "audit.db", FrozenClock(), busy=timedelta(milliseconds=100))
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(AuditUnavailable, match="locked"):
            audit.append(entry())
        holder.execute("ROLLBACK")
    assert audit.verify() == 0
    assert audit.append(entry()).sequence == 1
    audit.close()


@pytest.mark.integration("audit", "misconfigured")
def test_a_place_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database" * 100)
    for path in (tmp_path, tmp_path / "file", tmp_path / "file" / "audit.db"):
        with pytest.raises(AuditUnavailable, match="audit"):
            SqliteAudit(path, FrozenClock())


@pytest.mark.integration("audit", "refused")
def test_a_closed_chain_is_unavailable(tmp_path: Path) -> None:
    audit = SqliteAudit(tmp_path / "audit.db", FrozenClock())
    audit.close()
    with pytest.raises(AuditUnavailable):
        audit.append(entry())


FULL_DISK = """
import resource, sys
from pathlib import Path
from adapters.audit.sqlite import SqliteAudit
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable
from tests.contract.audit_contract import entry

audit = SqliteAudit(Path(sys.argv[1]), FrozenClock())
audit.append(entry(key="before"))
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
failed = 0
for number in range(20):
    try:
        audit.append(entry(key=f"k{number}", text="x" * 8000))
    except AuditUnavailable:
        failed += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
audit.append(entry(key="after"))
print(failed, audit.verify())
"""


@pytest.mark.integration("audit", "refused")
def test_a_full_disk_is_unavailable_and_the_chain_stays_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "audit.db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    failed, whole = map(int, ended.stdout.split())
    assert failed > 0
    assert failed + whole == 22


@pytest.mark.integration("audit", "works")
def test_two_writers_on_one_file_make_one_chain(tmp_path: Path) -> None:
    writers = [SqliteAudit(tmp_path / "audit.db", FrozenClock()) for _ in range(3)]
    at_once(6, lambda number: [writers[number % 3].append(entry(key=f"{number}")) for _ in range(5)])
    assert writers[0].verify() == 30
    for writer in writers:
        writer.close()


@pytest.mark.integration("audit", "works")
def test_writers_that_wait_share_a_flush(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    audit = SqliteAudit(path, FrozenClock())

    def grown(work: Callable[[], object]) -> int:
        log = path.with_name("audit.db-wal")
        before = log.stat().st_size
        work()
        return log.stat().st_size - before

    def waiting_together() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            threads = [threading.Thread(target=audit.append, args=(entry(key=f"t{n}"),)) for n in range(12)]
            for thread in threads:
                thread.start()
            until(lambda: len(audit._turns) == 11)  # one tries to write, and the others wait for it
            holder.execute("ROLLBACK")
            for thread in threads:
                thread.join()

    one_by_one = grown(lambda: [audit.append(entry(key=f"s{n}")) for n in range(12)])
    together = grown(waiting_together)
    assert audit.verify() == 24
    assert together < one_by_one / 2
    audit.close()


@pytest.mark.integration("audit", "works")
def test_the_head_is_what_can_be_anchored_elsewhere(tmp_path: Path) -> None:
    audit = SqliteAudit(tmp_path / "audit.db", FrozenClock())
    assert audit.head() == (0, "0" * 64)
    last = [audit.append(entry()) for _ in range(2)][-1]
    assert audit.head() == (2, last.hash)
    audit.close()


@pytest.mark.integration("audit", "works")
class TestSqliteAudit(AuditContract):
    @pytest.fixture
    def audit(self, tmp_path: Path) -> Iterator[ChainPort]:
        audit = SqliteAudit(tmp_path / "audit.db", FrozenClock())
        yield audit
        audit.close()
