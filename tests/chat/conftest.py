"""A served application for the folder: made once a module, for most tests only read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.api.serving import Serving
from tests.support.serving import serving_of


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serving]:
    """An application with a past, of one test's own."""
    made = serving_of(tmp_path / "served")
    yield made
    made.app.close()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """An application with a past that nobody changes."""
    made = serving_of(tmp_path_factory.mktemp("seen") / "served")
    yield made
    made.app.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Serving]:
    """An application without a past."""
    made = serving_of(tmp_path / "empty", told=False)
    yield made
    made.app.close()
