"""A PostgreSQL server for the folder, where one is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract.postgres import server


@pytest.fixture(scope="session")
def fresh_url() -> Iterator[Callable[[], str]]:
    """Makes addresses, each of a database of its own."""
    with server() as fresh:
        yield fresh
