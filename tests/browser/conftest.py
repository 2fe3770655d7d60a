"""A server and a browser for every module, and visits that end with nothing wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browsing import Console, Visit, browser, chromium, console, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Visits = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Return a console that is served."""
    with console(Path(tmp_path_factory.mktemp("console"))) as made:
        yield made


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    """Return a browser."""
    program = chromium()
    if program is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    with browser(program) as made:
        yield made


@pytest.fixture
def visits(served: Console, opened: Browser) -> Visits:
    """Return what lets somebody in; at the end nothing may have gone wrong in the browser."""

    @contextmanager
    def made(role: str | None, **how: Any) -> Iterator[Visit]:
        with visit(opened, served, role, **how) as somebody:
            yield somebody
            assert somebody.problems == []

    return made
