"""One served application for the tests that only read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi import FastAPI
from sse_starlette.sse import AppStatus

from service.api.app import create_app
from service.api.serving import Serving
from service.web.background import Background
from tests.support.serving import serving_of
from tests.support.waiting import PATIENCE_S
from tests.web.made import failed, hostile


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """A served application with cycles of every kind, one that failed, and one that is full of markup."""
    made = serving_of(tmp_path_factory.mktemp("console"))
    failed(made)
    hostile(made)
    return made


@pytest.fixture(scope="session")
def console(served: Serving) -> FastAPI:
    """Its application; a page waits for what it asks, however busy the machine is."""
    app = create_app(served)
    app.state.page_background = Background(served.clock, wait=timedelta(seconds=PATIENCE_S))
    return app


@pytest.fixture(autouse=True)
def no_server_of_another_test_is_shutting_down() -> None:
    """Streams end when a server of the process is told to end, and what says so is one for the whole process."""
    AppStatus.should_exit = False
