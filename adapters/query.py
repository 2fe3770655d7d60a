"""Statements compiled once and run on the driver, for what is read at every call through the door."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Select


class Query:
    """A `select` in the words of one database; its rows are named tuples, read with the types of its columns."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        columns = statement.selected_columns
        self._text = str(compiled)
        self._places: list[str] | None = getattr(compiled, "positiontup", None)
        self._row: Any = namedtuple("Found", [column.key for column in columns])  # type: ignore[misc]  # dynamic names
        readers = (column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns)
        self._read = [(place, reader) for place, reader in enumerate(readers) if reader is not None]

    def __call__(self, cursor: Any, **values: Any) -> list[Any]:
        """Return what it finds, on a cursor of the driver."""
        return [self.read(row) for row in self.raw(cursor, **values)]

    def raw(self, cursor: Any, **values: Any) -> list[tuple[Any, ...]]:
        """Return what it finds as the driver gives it."""
        cursor.execute(self._text, values if self._places is None else [values[name] for name in self._places])
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found

    def read(self, raw: Sequence[Any]) -> Any:
        """Return what the driver has given, read."""
        row = list(raw)
        for place, reader in self._read:
            row[place] = reader(row[place])
        return self._row._make(row)
