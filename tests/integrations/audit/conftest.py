"""A PostgreSQL server for the tests of this folder, started once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract.postgres import server


@pytest.fixture(scope="session")
def fresh() -> Iterator[Callable[[], str]]:
    """Give a maker of URLs, a fresh database each."""
    with server() as urls:
        yield urls
