"""The chain in PostgreSQL: append-only by the server's word, whole after a broken connection, plain about what ails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from adapters.audit.base import ChainPort
from adapters.audit.postgresql import PostgresAudit
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, ChainBroken, ConfigurationError
from tests.contract.audit_contract import AuditContract, entry
from tests.integrations.stores import silence

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

Fresh = Callable[[], str]


@pytest.fixture
def url(fresh: Fresh) -> str:
    return fresh()


@pytest.fixture
def audit(url: str) -> Iterator[PostgresAudit]:
    audit = PostgresAudit(url, FrozenClock(), busy=timedelta(milliseconds=300))
    yield audit
    audit.close()


def run(url: str, *statements: str) -> None:
    """Do something to the database behind the chain's back."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


OPENED = ("ALTER TABLE audit_records DISABLE TRIGGER USER", "ALTER TABLE audit_head DISABLE TRIGGER USER")


@pytest.mark.integration("audit postgresql", "works")
class TestPostgresAudit(AuditContract):
    @pytest.fixture
    def audit(self, url: str) -> Iterator[ChainPort]:
        audit = PostgresAudit(url, FrozenClock())
        yield audit
        audit.close()


@pytest.mark.integration("audit postgresql", "works")
def test_a_commit_waits_for_the_disk_whatever_the_server_is_set_to(audit: PostgresAudit, url: str) -> None:
    name = url.split("?")[0].rsplit("/", 1)[1]
    run(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    later = PostgresAudit(url, FrozenClock())
    later.append(entry())
    assert later._writer is not None
    assert later._writer.execute("SHOW synchronous_commit").fetchone() == ("on",)
    assert "fsync is off" in later.check()
    later.close()


@pytest.mark.integration("audit postgresql", "refused")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_records SET body = '{}'",
        "DELETE FROM audit_records",
        "TRUNCATE audit_records",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
        "UPDATE audit_head SET count = 0",
    ],
)
def test_the_server_refuses_to_change_or_drop_a_record(audit: PostgresAudit, url: str, statement: str) -> None:
    audit.append(entry())
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        run(url, statement)
    assert audit.verify() == 1


@pytest.mark.integration("audit postgresql", "refused")
def test_a_user_who_may_only_read_is_told_what_to_grant(audit: PostgresAudit, url: str) -> None:
    audit.append(entry())
    run(
        url,
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN",
        "GRANT SELECT ON audit_records, audit_head TO reader",
    )
    reading = PostgresAudit(url.replace("evercrew@", "reader@"), FrozenClock())
    assert reading.verify() == 1
    with pytest.raises(AuditUnavailable, match=r"Grant SELECT and INSERT.*nothing was recorded"):
        reading.append(entry())
    reading.close()
    run(url, "GRANT INSERT ON audit_records TO reader", "GRANT UPDATE ON audit_head TO reader")
    writing = PostgresAudit(url.replace("evercrew@", "reader@"), FrozenClock())
    assert writing.append(entry()).sequence == 2
    writing.close()
    run(url, "DROP OWNED BY reader", "DROP ROLE reader")


@pytest.mark.integration("audit postgresql", "refused")
def test_a_connection_the_server_ended_costs_nothing(audit: PostgresAudit, url: str) -> None:
    audit.append(entry())
    assert len(audit.records("si_2026_01_31_001")) == 1
    run(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    assert audit.append(entry()).sequence == 2
    assert len(audit.of_key("k1")) == 2
    assert audit.verify() == 2


class Cut(PostgresAudit):
    """Loses its connection right before or right after the commit arrives."""

    committed = False

    def _write_rows(self, entries: object, sealed: object) -> None:
        try:
            if self.committed:
                super()._write_rows(entries, sealed)  # type: ignore[arg-type]
            else:
                sealed += self._sealed(self.head(), entries)  # type: ignore[operator, arg-type]
        finally:
            assert self._writer is not None
            self._writer.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.integration("audit postgresql", "lying")
@pytest.mark.parametrize("committed", [True, False])
def test_a_connection_that_broke_while_committing_is_asked_about(url: str, committed: bool) -> None:
    audit = Cut(url, FrozenClock())
    audit._writer = audit._connect()
    audit.committed = committed
    if committed:
        assert audit.append(entry()).sequence == 1
    else:
        with pytest.raises(AuditUnavailable, match=r"broke before the record was written; nothing was recorded"):
            audit.append(entry())
    assert audit.verify() == int(committed)
    audit.close()


@pytest.mark.integration("audit postgresql", "slow")
def test_a_head_that_stays_locked_is_unavailable_and_nothing_is_recorded(audit: PostgresAudit, url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT * FROM audit_head FOR UPDATE")
        with pytest.raises(AuditUnavailable, match=r"keeps the chain's head locked.*nothing was recorded"):
            audit.append(entry())
    assert audit.append(entry()).sequence == 1


@pytest.mark.integration("audit postgresql", "slow")
def test_a_server_that_says_nothing_is_given_up() -> None:
    with silence() as address:
        port = address.rsplit(":", 1)[1]
        with pytest.raises(AuditUnavailable, match="what is between"):
            PostgresAudit(f"postgresql://evercrew@127.0.0.1:{port}/db?connect_timeout=2", FrozenClock())


@pytest.mark.integration("audit postgresql", "lying")
@pytest.mark.parametrize(
    ("statement", "why", "record"),
    [
        ("UPDATE audit_records SET body = replace(body, 'promote', 'retire') WHERE sequence = 2", "changed", 2),
        ("UPDATE audit_records SET key = 'x' WHERE sequence = 3", "changed", 3),
        ("DELETE FROM audit_records WHERE sequence = 2", "removed", 2),
        ("DELETE FROM audit_records WHERE sequence > 3", "truncated", 4),
        (
            "UPDATE audit_records SET sequence = CASE sequence WHEN 2 THEN -3 ELSE -2 END WHERE sequence IN (2, 3)",
            "",
            2,
        ),
    ],
)
def test_what_was_done_behind_its_back_is_named(
    audit: PostgresAudit, url: str, statement: str, why: str, record: int
) -> None:
    for number in range(5):
        audit.append(entry(key=f"k{number}"))
    run(url, *OPENED, statement, "UPDATE audit_records SET sequence = -sequence WHERE sequence < 0")
    with pytest.raises(ChainBroken) as told:
        audit.verify()
    assert (told.value.record, told.value.why) == (record, why or "reordered")


@pytest.mark.integration("audit postgresql", "misconfigured")
@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda url: url.replace("@/t", "@/nowhere"), "Create what is missing"),
        (lambda url: url.replace("evercrew@", "nobody_here@"), "Create what is missing"),
        (lambda url: "postgresql://evercrew@127.0.0.1:1/db", "Check audit_url"),
    ],
)
def test_each_way_to_misconfigure_it_has_its_remedy(url: str, change: Callable[[str], str], remedy: str) -> None:
    with pytest.raises(AuditUnavailable, match=rf"could not be opened.*{remedy}"):
        PostgresAudit(change(url), FrozenClock())


@pytest.mark.integration("audit postgresql", "misconfigured")
def test_what_is_no_address_of_a_database_names_the_field() -> None:
    with pytest.raises(ConfigurationError, match="audit_url"):
        PostgresAudit("mysql://somewhere/db", FrozenClock())
