"""What the adapters on SQLAlchemy share: addresses of databases, time limits, and what their errors mean."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import URL, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
)

KNOWN = ("sqlite", "postgresql")
CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 60
# However little whoever waits has: a busy machine too may leave a program alone for a while.
_LEAST_HELD = timedelta(seconds=1)
_SCHEMA = "Name a database of its own for this version in {field}, or restore a backup of it"
# By SQLSTATE where the server says it, else by words: a connection that fails has no state.
_MEANINGS: tuple[tuple[tuple[str, ...], type[DependencyError], str], ...] = (
    (("55P03", "57014", "database is locked"), DependencyTimeout, "Find the program that keeps {field} locked"),
    (("timeout expired", "timed out"), DependencyTimeout, "Check the host of {field}, and what is between"),
    (("42P01", "42703", "42P07", "no such table", "no such column", "already exists"), DependencyLied, _SCHEMA),
    (("28P01", "28000", "password", "no pg_hba"), DependencyUnavailable, "Check the user and password of {field}"),
    (("3D000",), DependencyUnavailable, "Create the database, or mend its name in {field}"),
    (("42501", "permission denied"), DependencyUnavailable, "Make its user the owner of the database of {field}"),
    (("readonly", "read-only"), DependencyUnavailable, "Make the database of {field} writable, its folder too"),
    (("is full", "disk I/O", "53100"), DependencyUnavailable, "Make room on the disk of {field}"),
    (("not a database", "malformed"), DependencyUnavailable, "Restore a backup, or name another file in {field}"),
    (("Connection refused", "resolve host"), DependencyUnavailable, "Start the server, or mend {field}"),
)


def database_url(url: str, *, field: str) -> URL:
    """Return the address of a database, with the driver that is ours.

    Raises:
        ConfigurationError: it is none, or of a kind that is not known; shows nothing of it, for it may hold a password.
    """
    remedy = "Write sqlite:////absolute/path.db, or postgresql://user@host/name with evercrew[postgres] installed"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(field, "it is no address of a database", remedy) from error
    if parsed.get_backend_name() not in KNOWN:
        raise ConfigurationError(field, f"{parsed.get_backend_name()} is none of {', '.join(KNOWN)}", remedy)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "postgresql" and "connect_timeout" not in parsed.query:
        parsed = parsed.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})
    return parsed


def impatient(engine: Engine, busy: timedelta) -> None:
    """Let PostgreSQL give up on a lock after `busy`, on a statement after a minute, and on a program that is paused.

    It is paused, or cut off, when it does nothing in a transaction for as long as `held_ms` says.
    """

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {milliseconds(busy)}")
            cursor.execute(f"SET statement_timeout = '{_STATEMENT_SECONDS}s'")
            cursor.execute(f"SET idle_in_transaction_session_timeout = {held_ms(busy)}")
        connection.commit()


def held_ms(busy: timedelta) -> int:
    """Return after how many milliseconds of doing nothing the server ends a transaction: half of `busy`.

    So whoever waits `busy` for what a paused program holds gets it, and is not told that it is locked.
    """
    return milliseconds(max(busy / 2, _LEAST_HELD))


def milliseconds(span: timedelta) -> int:
    """Return a span as PostgreSQL takes it."""
    return int(span.total_seconds() * 1000)


def explained(error: SQLAlchemyError, *, name: str, field: str) -> DependencyError:
    """Return the error of ours that fits, with the remedy; `field` is where the address is configured."""
    told = (str(error).splitlines() or [type(error).__name__])[0]
    state = str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
    for words, kind, remedy in _MEANINGS:
        if state in words or any(word in told for word in words):
            return kind(name, told, remedy.format(field=field))
    if "does not exist" in told:
        return DependencyUnavailable(name, told, f"Create what is missing, or mend {field}")
    return DependencyUnavailable(name, told, f"Check {field}, the server and its disk")
