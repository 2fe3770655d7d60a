"""A chain that may not be written, and what each failure says to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.audit.sqlite import SqliteAudit
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, ChainBroken
from tests.contract.audit_contract import entry

NOBODY = 65534


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take the right to write into the folder; root gives up its own rights as well, for they know no limits."""
    files = [folder, *folder.iterdir()]
    before = [file.stat().st_mode for file in files]
    for file in files:
        file.chmod(0o555 if file.is_dir() else 0o444)
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was == 0:
            os.seteuid(was)
        for file, mode in zip(files, before, strict=True):
            if file.exists():
                file.chmod(mode)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder everybody may enter, which pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="ec-audit-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.integration("audit", "refused")
def test_a_folder_that_is_read_only_is_told_and_nothing_is_recorded(folder: Path) -> None:
    SqliteAudit(folder / "audit.db", FrozenClock()).close()
    with read_only(folder), pytest.raises(AuditUnavailable, match="Make the folder of `state` writable"):
        SqliteAudit(folder / "audit.db", FrozenClock())
    audit = SqliteAudit(folder / "audit.db", FrozenClock())
    assert audit.verify() == 0
    audit.close()


@pytest.mark.integration("audit", "refused")
def test_a_disk_that_is_full_says_to_make_room(tmp_path: Path) -> None:
    audit = SqliteAudit(tmp_path / "audit.db", FrozenClock())
    audit._connection.execute("PRAGMA max_page_count=8")
    with pytest.raises(AuditUnavailable, match=r"full.*Make room on the disk of `state`.*nothing was recorded"):
        audit.append(entry(text="x" * 100_000))
    audit._connection.execute("PRAGMA max_page_count=100000")
    assert audit.append(entry()).sequence == 1
    assert audit.verify() == 1
    audit.close()


@pytest.mark.integration("audit", "slow")
def test_a_reader_that_stays_does_not_hold_up_a_record(tmp_path: Path) -> None:
    audit = SqliteAudit(tmp_path / "audit.db", FrozenClock(), busy=timedelta(milliseconds=100))
    audit.append(entry())
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM records").fetchone() == (1,)
        assert audit.append(entry(key="k2")).sequence == 2
        assert reader.execute("SELECT count(*) FROM records").fetchone() == (1,)
    audit.close()


@pytest.mark.integration("audit", "lying")
def test_a_table_that_was_dropped_is_unavailable_and_a_forged_one_is_broken(tmp_path: Path) -> None:
    audit = SqliteAudit(tmp_path / "audit.db", FrozenClock())
    audit.append(entry())
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as other:
        other.execute("DROP TABLE records")
    with pytest.raises(AuditUnavailable, match=r"no such table.*state"):
        audit.verify()
    audit.close()
    again = SqliteAudit(tmp_path / "audit.db", FrozenClock())
    with pytest.raises(ChainBroken, match="record 1 is missing"):
        again.verify()
    again.close()


@pytest.mark.integration("audit", "misconfigured")
@pytest.mark.parametrize(("place", "remedy"), [("", "writable"), ("file", "from a backup"), ("file/audit.db", "state")])
def test_each_place_that_cannot_be_used_has_its_remedy(tmp_path: Path, place: str, remedy: str) -> None:
    (tmp_path / "file").write_text("no database" * 100)
    with pytest.raises(AuditUnavailable, match=rf"could not be opened.*{remedy}"):
        SqliteAudit(tmp_path / place, FrozenClock())
