"""A PostgreSQL server of our own, where its programs are installed; tests that need it are skipped, visibly, where
not.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from testbed.servers.base import ServerError
from testbed.servers.postgres import Postgres, execute, programs


@contextmanager
def server() -> Iterator[Callable[[], str]]:
    """Run a server on a socket of its own and give a maker of URLs, a fresh database each."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if programs() is None:
        pytest.skip("no PostgreSQL server is installed")
    with ExitStack() as running:
        try:
            here = running.enter_context(Postgres())
        except ServerError as problem:
            pytest.skip(f"PostgreSQL does not run here: {problem}")

        def fresh() -> str:
            name = f"t{uuid.uuid4().hex[:12]}"
            execute(here.url("postgres"), f"CREATE DATABASE {name}")
            return here.url(name).replace("postgresql://", "postgresql+psycopg://", 1)

        yield fresh
