"""Workflow databases that are down, locked, late, damaged or of another program, and addresses that are none."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from adapters.workflow.base import Run
from adapters.workflow.dbos import DbosWorkflow
from domain.clock import SystemClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable

Fresh = Callable[[], str]
SQLITE, POSTGRES = "workflow sqlite", "workflow postgresql"
CLOCK = SystemClock()


def cell(adapter: str, case: str) -> pytest.MarkDecorator:
    return pytest.mark.integration(adapter, case)


def launched(url: str) -> None:
    """Launch on the database and close again."""
    workflow = DbosWorkflow(url, clock=CLOCK, application_version="1")
    workflow.launch(lambda _run, _id: {})
    workflow.close()


def execute(url: str, statement: str) -> None:
    """Be another program on the same database."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(autouse=True)
def _another_can_follow(tmp_path: Path) -> Iterator[None]:
    """Whatever failed, the process can launch the next machinery."""
    yield
    launched(f"sqlite:///{tmp_path / 'next' / 'workflows.db'}")


@cell(SQLITE, "lying")
def test_a_file_that_is_no_database_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    junk = b"not a database at all" * 100
    (tmp_path / "junk.db").write_bytes(junk)
    with pytest.raises(DependencyUnavailable, match=r"not a database.*another file in workflow_url"):
        launched(f"sqlite:///{tmp_path / 'junk.db'}")
    assert (tmp_path / "junk.db").read_bytes() == junk


@cell(SQLITE, "misconfigured")
def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as theirs:
        theirs.execute("CREATE TABLE workflow_status (x INTEGER)")
    with pytest.raises(DependencyLied, match=r"already exists.*a database of its own.*workflow_url"):
        launched(f"sqlite:///{tmp_path / 'theirs.db'}")


@cell(SQLITE, "misconfigured")
@cell(POSTGRES, "misconfigured")
@pytest.mark.parametrize("url", ["s3cret", "mysql://u:s3cret@db/x", "postgresql://u:s3cret@db:port/x"])
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="workflow_url") as told:
        DbosWorkflow(url, clock=CLOCK, application_version="1")
    assert "s3cret" not in str(told.value)


@cell(POSTGRES, "refused")
def test_a_server_that_is_down_says_what_to_start() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with pytest.raises(DependencyUnavailable, match=r"refused.*Start the server, or mend workflow_url"):
        launched("postgresql://evercrew@127.0.0.1:9/evercrew")


@cell(POSTGRES, "refused")
def test_a_user_that_may_not_make_tables_is_told_what_is_missing(fresh_url: Fresh) -> None:
    url = fresh_url()
    role = f"runner_{make_url(url).database}"
    execute(url, f"CREATE ROLE {role} LOGIN")
    with pytest.raises(DependencyUnavailable, match=r"permission denied.*owner of the database of workflow_url"):
        launched(url.replace("evercrew@", f"{role}@"))


@cell(POSTGRES, "refused")
@cell(POSTGRES, "misconfigured")
def test_a_user_that_is_not_there_is_named(fresh_url: Fresh) -> None:
    gone = make_url(fresh_url()).set(username="nobody_here")
    with pytest.raises(DependencyUnavailable, match=r'"nobody_here" does not exist.*workflow_url'):
        launched(gone.render_as_string(hide_password=False))


@cell(POSTGRES, "slow")
def test_a_server_that_takes_the_connection_and_says_nothing_is_a_timeout() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    before = CLOCK.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DependencyTimeout, match=r"timeout expired.*host of workflow_url"):
            launched(f"postgresql://evercrew@127.0.0.1:{port}/x?connect_timeout=2")
    assert CLOCK.monotonic() - before < 60


@cell(POSTGRES, "lying")
@cell(POSTGRES, "misconfigured")
def test_tables_of_another_program_on_the_server_are_left_alone(fresh_url: Fresh) -> None:
    url = fresh_url()
    execute(url, "CREATE SCHEMA dbos")
    execute(url, "CREATE TABLE dbos.workflow_status (x INTEGER)")
    with pytest.raises(DependencyLied, match=r"already exists.*a database of its own"):
        launched(url)


@cell(POSTGRES, "works")
def test_a_database_that_is_missing_is_made(fresh_url: Fresh) -> None:
    url = make_url(fresh_url())
    missing = url.set(database=f"{url.database}_new").render_as_string(hide_password=False)
    with pytest.raises(OperationalError, match="does not exist"):
        execute(missing, "SELECT 1")
    launched(missing)
    execute(missing, "SELECT 1")


@cell(POSTGRES, "slow")
def test_a_workflow_outlives_a_server_that_drops_its_connections(fresh_url: Fresh) -> None:
    url, ran = fresh_url(), list[str]()
    dropped = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"

    def drop() -> dict[str, Any]:
        ran.append("drop")
        execute(url, f"{dropped} AND datname = current_database()")
        return {}

    def body(run: Run, _id: str) -> dict[str, Any]:
        run.step("drop", drop)
        return run.step("after", lambda: {"after": len(ran)})

    workflow = DbosWorkflow(url, clock=CLOCK, application_version="1")
    workflow.launch(body)
    workflow.start("w1")
    assert workflow.result("w1", timedelta(seconds=60)) == {"after": 1}
    workflow.close()
    assert ran == ["drop"]
