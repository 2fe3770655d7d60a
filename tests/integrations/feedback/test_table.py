"""Feedback in a table: SQLite in a file, and a real PostgreSQL where one is installed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from adapters.feedback.base import FeedbackEvent, FeedbackPort
from adapters.feedback.table import TableFeedback
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from tests.contract import postgres
from tests.contract.feedback_contract import EVENTS, NOW, START, FeedbackContract

COLUMNS = {
    "ts": "told_at",
    "user_id": "who",
    "query": "asked",
    "doc_id": "document",
    "value": "value",
    "user_agent": "agent",
    "event_id": "event",
    "kind": "kind",
}
_MADE = (
    "CREATE TABLE opinions (told_at {time}, who TEXT, asked TEXT, document TEXT, kind TEXT, value {number}, "
    "agent TEXT, event TEXT)"
)
_ROW = "INSERT INTO opinions VALUES (:told_at, :who, :asked, :document, :kind, :value, :agent, :event)"


def row(event: FeedbackEvent, **changes: Any) -> dict[str, Any]:
    """Return an event as a row of the table."""
    fields = event.model_dump()
    return {**{column: fields[field] for field, column in COLUMNS.items()}, "kind": event.kind.value, **changes}


def filled(url: str, rows: list[dict[str, Any]], time: str = "TIMESTAMP", number: str = "FLOAT") -> str:
    """Make the table with rows, and return the URL."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(_MADE.format(time=time, number=number)))
        if rows:
            connection.execute(text(_ROW), rows)
    engine.dispose()
    return url


def in_sqlite(folder: Path, rows: list[dict[str, Any]] | None = None, time: str = "TIMESTAMP") -> str:
    """Return the URL of a file with the contract's events."""
    given = (
        rows
        if rows is not None
        else [row(event, told_at=event.ts.replace(tzinfo=None).isoformat(" ", "microseconds")) for event in EVENTS]
    )
    return filled(f"sqlite:///{folder}/feedback.db", given, time)


def table(url: str, **fields: Any) -> TableFeedback:
    """Return the adapter on the table."""
    return TableFeedback(url=url, clock=FrozenClock(NOW), **{"table": "opinions", "columns": COLUMNS, **fields})


@pytest.fixture(scope="module")
def databases() -> Iterator[Callable[[], str]]:
    with postgres.server() as fresh:
        yield fresh


@pytest.mark.integration("feedback", "works")
class TestSqlite(FeedbackContract):
    @pytest.fixture
    def feedback(self, tmp_path: Path) -> Iterator[FeedbackPort]:
        feedback = table(in_sqlite(tmp_path))
        yield feedback
        feedback.close()


@pytest.mark.integration("feedback", "works")
class TestUnixTimes(FeedbackContract):
    @pytest.fixture
    def feedback(self, tmp_path: Path) -> Iterator[FeedbackPort]:
        rows = [row(event, told_at=event.ts.timestamp()) for event in EVENTS]
        feedback = table(in_sqlite(tmp_path, rows, "FLOAT"), time_type="unix")
        yield feedback
        feedback.close()


@pytest.mark.integration("feedback", "works")
class TestPostgres(FeedbackContract):
    @pytest.fixture
    def feedback(self, databases: Callable[[], str]) -> Iterator[FeedbackPort]:
        url = filled(databases(), [row(event) for event in EVENTS], "TIMESTAMPTZ", "NUMERIC")
        feedback = table(url, table="public.opinions")
        yield feedback
        feedback.close()


@pytest.mark.integration("feedback", "refused")
def test_the_connection_cannot_write(tmp_path: Path) -> None:
    feedback = table(in_sqlite(tmp_path))
    with feedback._reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM opinions")).scalar() == len(EVENTS)
    with pytest.raises(DependencyUnavailable, match="readonly"), feedback._reading() as connection:
        connection.execute(text("DELETE FROM opinions"))
    feedback.close()


@pytest.mark.integration("feedback", "refused")
def test_postgres_says_which_grant_is_missing_and_which_user_is_unknown(databases: Callable[[], str]) -> None:
    url = filled(databases(), [], "TIMESTAMPTZ")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS stranger"))
        connection.execute(text("CREATE ROLE stranger LOGIN"))
    engine.dispose()
    problems = {
        url.replace("evercrew@", "stranger@"): "Grant SELECT on opinions",
        url.replace("evercrew@", "nobody_there@"): "EVERCREW_FEEDBACK_PASSWORD",
    }
    for wrong, remedy in problems.items():
        feedback = table(wrong)
        with pytest.raises(DependencyUnavailable, match=remedy):
            feedback.check()
        feedback.close()
    own = table(url)
    with pytest.raises(DependencyUnavailable, match="read-only"), own._reading() as connection:
        connection.execute(text("DELETE FROM opinions"))
    own.close()


@pytest.mark.integration("feedback", "slow")
def test_a_database_that_is_locked_is_given_up(tmp_path: Path) -> None:
    feedback = table(in_sqlite(tmp_path), timeout=timedelta(seconds=1))
    holder = sqlite3.connect(tmp_path / "feedback.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DependencyTimeout, match="locked"):
        feedback.events(START, NOW)
    holder.execute("ROLLBACK")
    assert feedback.events(START, NOW) == EVENTS
    holder.close()
    feedback.close()


@pytest.mark.integration("feedback", "slow")
def test_a_query_that_takes_too_long_is_ended_by_the_server(databases: Callable[[], str]) -> None:
    feedback = table(filled(databases(), [], "TIMESTAMPTZ"), timeout=timedelta(seconds=1))
    with pytest.raises(DependencyTimeout, match="statement timeout"), feedback._reading() as connection:
        connection.execute(text("SELECT pg_sleep(5)"))
    feedback.close()


@pytest.mark.integration("feedback", "lying")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "purchase"}, "kind"),
        ({"value": 9}, "no click"),
        ({"who": None}, "user_id"),
        ({"value": "much"}, "value"),
    ],
)
def test_a_row_that_breaks_the_form_is_no_event(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    stamp = EVENTS[0].ts.replace(tzinfo=None).isoformat(" ", "microseconds")
    feedback = table(in_sqlite(tmp_path, [row(EVENTS[0], **{"told_at": stamp, **changes})]))
    with pytest.raises(DependencyLied, match=field):
        feedback.events(START, NOW)
    feedback.close()


@pytest.mark.integration("feedback", "misconfigured")
def test_each_way_of_misconfiguring_the_table_has_its_own_remedy(tmp_path: Path) -> None:
    url = in_sqlite(tmp_path)
    problems: list[tuple[dict[str, Any], str]] = [
        ({"table": "absent"}, r"feedback\.table: there is no absent"),
        ({"columns": {**COLUMNS, "value": "points"}}, r"feedback\.columns: no such column: opinions\.points"),
        ({"columns": {}}, r"feedback\.columns: no such column"),
    ]
    for fields, remedy in problems:
        feedback = table(url, **fields)
        with pytest.raises(ConfigurationError, match=remedy):
            feedback.check()
        feedback.close()
    with pytest.raises(ConfigurationError, match=r"feedback\.columns: \['stars'\] are no fields"):
        table(url, columns={"stars": "value"})
    for wrong in ("not a url", "nosuchdb://x/y"):
        with pytest.raises(ConfigurationError, match=r"feedback\.database: cannot be used"):
            table(wrong)
    away = table(f"sqlite:///{tmp_path}/absent/feedback.db")
    with pytest.raises(DependencyUnavailable, match=r"and feedback\.database"):
        away.check()
