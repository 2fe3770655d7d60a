"""Feedback in a table of a database, by SQLAlchemy; read only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr, ValidationError

from adapters.feedback.base import FeedbackEvent, checked
from adapters.meter import metered
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause, Connection, Select

NAME = "feedback"
NEEDED = ("ts", "user_id", "query", "kind")
OPTIONAL = ("doc_id", "value", "user_agent", "event_id")
TimeType = Literal["timestamp", "unix"]


class TableFeedback:
    """`FeedbackPort` on one table.

    Args:
        url: of SQLAlchemy, without a password; the user needs SELECT on the table and nothing more.
        table: its name, ``schema.table`` where it is in one.
        columns: field of `FeedbackEvent` -> column; fields that are not named are taken from columns of their own name,
            the optional ones only when they are named.
        time_type: ``timestamp`` (UTC where the column has no zone) or ``unix`` seconds.
    """

    def __init__(
        self,
        *,
        url: str,
        clock: Clock,
        table: str = "feedback",
        columns: Mapping[str, str] | None = None,
        time_type: TimeType = "timestamp",
        password: SecretStr | None = None,
        timeout: timedelta = timedelta(seconds=20),
    ) -> None:
        from sqlalchemy import URL, create_engine, make_url
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError

        unknown = set(columns or {}) - {*NEEDED, *OPTIONAL}
        if unknown:
            raise ConfigurationError(
                "feedback.columns", f"{sorted(unknown)} are no fields", f"Name {', '.join((*NEEDED, *OPTIONAL))}"
            )
        try:
            parsed: URL = make_url(url)
            if password is not None:
                parsed = parsed.set(password=password.get_secret_value())
            self._engine = create_engine(parsed, connect_args=_limits(parsed, timeout), pool_pre_ping=True)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise ConfigurationError(
                "feedback.database", f"cannot be used: {error}", "Write a URL of SQLAlchemy, and install its driver"
            ) from error
        self._clock = clock
        self._name = table
        self._unix = time_type == "unix"
        self._columns = {**{name: name for name in NEEDED}, **(columns or {})}

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def events(self, since: datetime, until: datetime, limit: int = 50_000) -> list[FeedbackEvent]:
        """See `FeedbackPort.events`."""
        checked(since, until, limit)
        ts = self._column("ts")
        query = self._select().where(ts >= self._time(since), ts < self._time(until)).order_by(ts.desc()).limit(limit)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [_event(row) for row in reversed(rows)]

    def check(self) -> str:
        """See `FeedbackPort.check`."""
        now = self._clock.now()
        found = self.events(now - timedelta(days=1), now, 1000)
        return f"{NAME}: table {self._name}, {len(found)} of the newest events of the last day"

    def _column(self, field: str) -> ColumnClause[Any]:
        from sqlalchemy import column

        return column(self._columns[field])

    def _select(self) -> Select[Any]:
        from sqlalchemy import select, table

        schema, _, name = self._name.rpartition(".")
        columns = [self._column(field) for field in self._columns]
        source = table(name, *columns, schema=schema or None)
        named = zip(self._columns, source.c, strict=True)
        return select(*(found.label(field) for field, found in named)).select_from(source)

    def _time(self, moment: datetime) -> datetime | float:
        if self._unix:
            return moment.timestamp()
        utc = moment.astimezone(UTC)
        # SQLite keeps times as text without a zone.
        return utc.replace(tzinfo=None) if self._engine.dialect.name == "sqlite" else utc

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Give a connection that cannot write."""
        from sqlalchemy import text
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            with metered(NAME), self._engine.connect() as connection:
                if connection.dialect.name == "postgresql":
                    connection = connection.execution_options(postgresql_readonly=True)
                elif connection.dialect.name == "sqlite":
                    connection.execute(text("PRAGMA query_only=ON"))
                yield connection
        except DBAPIError as error:
            raise _failed(str(error.orig), self._name) from error
        except SQLAlchemyError as error:
            raise DependencyUnavailable(NAME, f"{type(error).__name__}: {error}"[:300]) from error


def _limits(url: Any, timeout: timedelta) -> dict[str, Any]:
    seconds = max(int(timeout.total_seconds()), 1)
    match url.get_backend_name():
        case "postgresql":
            return {"connect_timeout": seconds, "options": f"-c statement_timeout={1000 * seconds}"}
        case "sqlite":
            return {"timeout": seconds, "check_same_thread": False}
    return {}


def _failed(words: str, table: str) -> ConfigurationError | DependencyUnavailable | DependencyTimeout:
    said = " ".join(words.split())[:300]
    low = said.lower()
    if "no such column" in low or ("column" in low and "does not exist" in low):
        return ConfigurationError("feedback.columns", said, "Name the columns of the table")
    if "no such table" in low or ("relation" in low and "does not exist" in low):
        return ConfigurationError("feedback.table", f"there is no {table}: {said}", "Name the table")
    if "permission denied" in low:
        return DependencyUnavailable(NAME, said, f"Grant SELECT on {table} to the user of feedback.database")
    if "password authentication" in low or "no password supplied" in low or "role" in low:
        return DependencyUnavailable(NAME, said, "Check the user of feedback.database and EVERCREW_FEEDBACK_PASSWORD")
    if "statement timeout" in low or "locked" in low:
        return DependencyTimeout(NAME, said, "Put an index on the time column, or raise feedback.timeout_s")
    return DependencyUnavailable(NAME, said, "Check that the database runs, and feedback.database")


def _event(row: Mapping[Any, Any]) -> FeedbackEvent:
    raw = {str(name): value for name, value in row.items() if value is not None}
    ts = raw.get("ts")
    if isinstance(ts, str):
        ts = raw["ts"] = _parsed(ts)
    if isinstance(ts, datetime) and ts.tzinfo is None:
        raw["ts"] = ts.replace(tzinfo=UTC)
    texts = {name: str(raw[name]) for name in ("user_id", "doc_id", "event_id") if name in raw}
    try:
        return FeedbackEvent.model_validate({**raw, **texts})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "(all)"
        raise DependencyLied(NAME, f"a row, field {where}: {problem['msg']}", "Check feedback.columns") from error


def _parsed(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text
