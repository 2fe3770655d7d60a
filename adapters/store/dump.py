"""The store's tables as lines of JSON: a backup of a database server that comes back on any database.

The first line names the schema's revision, every other a table and a row, in the order in which they can be inserted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Date, DateTime, Table, create_engine, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

# Their tables are part of the dump.
import adapters.accounts.models
import adapters.approvals.models
import adapters.autonomy.models
import adapters.conversations.models
import adapters.executors.models
import adapters.inbox.models
import adapters.ledger.models
import adapters.notices.models
import adapters.requests.models
import adapters.rules.models  # noqa: F401
from adapters.store.migrations import current_revision
from adapters.store.models import Base, UtcDateTime
from adapters.store.sqlalchemy import SqlStore
from domain.canonical import canonical_json
from domain.errors import DependencyUnavailable, IntegrityError

NAME = "store"


def dump(url: str, into: Path) -> int:
    """Write all tables to the file `into`, as they stand at one moment, and return the number of rows.

    Raises:
        DependencyUnavailable: the database cannot be read.
    """
    rows = 0
    with _connected(url) as connection, into.open("w", encoding="utf-8") as out:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        out.write(canonical_json({"revision": current_revision(connection)}) + "\n")
        for table in Base.metadata.sorted_tables:
            for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings():
                out.write(canonical_json({"table": table.name, "row": dict(row)}) + "\n")
                rows += 1
    return rows


def load(url: str, file: Path) -> bool:
    """Fill an empty store from a `dump`; False, and nothing is changed, when it is not empty.

    Raises:
        DependencyUnavailable: the database cannot be written.
        IntegrityError: the dump is of another revision of the tables, or damaged.
    """
    SqlStore(url).close()  # makes the tables
    with _connected(url) as connection:
        if any(connection.scalar(select(func.count()).select_from(table)) for table in Base.metadata.sorted_tables):
            return False
        with file.open(encoding="utf-8") as lines:
            try:
                revision = json.loads(next(lines))["revision"]
                if revision != current_revision(connection):
                    raise IntegrityError(
                        f"the dump is of revision {revision}: restore it with the version that made it"
                    )
                for line in lines:
                    entry = json.loads(line)
                    table = Base.metadata.tables[entry["table"]]
                    connection.execute(insert(table), _typed(table, entry["row"]))
            except (ValueError, LookupError, TypeError, StopIteration) as error:
                raise IntegrityError(f"the dump {file.name} is damaged: {error}") from error
        _count_on(connection)
        connection.commit()
    return True


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    values = dict(row)
    for column in table.columns:
        value = values.get(column.name)
        if value is not None and isinstance(column.type, UtcDateTime | DateTime):
            values[column.name] = datetime.fromisoformat(value)
        elif value is not None and isinstance(column.type, Date):
            values[column.name] = date.fromisoformat(value)
    return values


def _count_on(connection: Connection) -> None:
    """Let PostgreSQL number new rows after those that came in with their numbers."""
    if connection.dialect.name != "postgresql":
        return
    for table in Base.metadata.sorted_tables:
        if (column := table.autoincrement_column) is not None:
            highest = connection.scalar(select(func.max(column)))
            if highest is not None:
                place = func.pg_get_serial_sequence(table.name, column.name)
                connection.execute(select(func.setval(place, highest)))


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    try:
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        raise DependencyUnavailable(NAME, " ".join(str(error).split())[:300], "Mend store_url") from error
