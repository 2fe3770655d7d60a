"""The whole application, made once, with an account for every role."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from domain.clock import FrozenClock
from service.api.app import create_app
from tests.support.serving import serving_of


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The application on a record without cycles; its clock stands still."""
    serving = serving_of(tmp_path_factory.mktemp("served"), clock=FrozenClock(), told=False)
    yield create_app(serving)
    serving.access.close()
    serving.app.close()
